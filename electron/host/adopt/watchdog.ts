/**
 * The watchdog of a trial, for nodes that have no agent: a POSIX shell script of its own on every node, which puts
 * the old corosync.conf back unless the trial is confirmed in time. It needs neither this app nor the network, only
 * the node's own clock; its directory lies in /run and is gone with it. Pure: texts only.
 *
 * Files in the directory: `settings` (shell words), `meta.json`, `back.conf`, `after.conf`, `deadline` (seconds of
 * uptime), `phase`, marks `installed`, `loaded`, `revert`, and `decided`, which link(2) makes
 * once and whole: a confirmation at the last moment and the clock cannot both win, nor one that breaks off half way.
 */
import { LOCAL_CONF, TREE_CONF } from './questions.ts';
import type { TrialMeta } from './trial-state.ts';

export type Method = TrialMeta['method'];

export interface WatchdogSettings {
  readonly id: string;
  readonly proxmox: boolean;
  readonly method: Method;
  /** SHA-256 of the file on trial, hexadecimal. */
  readonly after: string;
  /** config_version of the file that it goes back to. */
  readonly backVersion: number;
  /** In a rolling restart the nodes go back one after the other: so many seconds this one waits. */
  readonly staggerS: number;
}

/** How long the watchdog leaves its outcome to be read before it takes its directory away, in seconds. */
const LINGER_S = 3600;
/** How long /etc/pve may take no change on the way back before a node runs the old settings by itself, in seconds. */
const PATIENCE_S = 20;

export function settingsFile(settings: WatchdogSettings): string {
  const { id, proxmox, method, after, backVersion, staggerS } = settings;
  const lines = [
    `id=${id}`,
    `manager=${proxmox ? 'proxmox' : 'plain'}`,
    `conf=${proxmox ? TREE_CONF : LOCAL_CONF}`,
    `local=${LOCAL_CONF}`,
    `method=${method}`,
    `after=${after}`,
    `back_version=${backVersion}`,
    `stagger=${staggerS}`,
    `linger=${LINGER_S}`,
    `patience=${PATIENCE_S}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Words that the watchdog and the steps of a trial share. */
export const COMMON = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL
now() { read -r up _ < /proc/uptime; echo "\${up%%.*}"; }
digest() { sha256sum < "$1" 2>/dev/null | cut -c 1-64; }
limited() {
  seconds=$1; shift
  if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$seconds" "$@"; else "$@"; fi
}
restart_engine() {
  if [ -d /run/systemd/system ]; then
    limited 90 systemctl restart corosync
  else
    limited 60 service corosync restart >/dev/null 2>&1
    # An init script may say "done" before the old process has ended.
    for _ in 1 2 3 4 5 6 7 8 9 10; do pidof corosync >/dev/null && return 0; sleep 1; limited 60 service corosync start >/dev/null 2>&1; done
  fi
}
decide() { echo "$2" > "$1/decision.$$" && ln "$1/decision.$$" "$1/decided" 2>/dev/null; }
runs_version() { limited 5 corosync-cmapctl -g totem.config_version 2>/dev/null | grep -q " = $1\\$"; }
`;

export const WATCHDOG = `#!/bin/sh
# Puts the old corosync.conf back unless the new one is confirmed in time. Started by Ringmaster for one trial; it ends,
# and takes its directory away, when the trial is over.
dir=$1
${COMMON}
. "$dir/settings"
say() {
  printf '%s\\n' "$*" >> "$dir/log"
  command -v logger >/dev/null 2>&1 && logger -t ringmaster "$*"
  return 0
}
mine() { grep -qx "id=$id" "$dir/settings" 2>/dev/null; }

put_back_plain() {
  [ -e "$dir/installed" ] || { outcome='The new file was not installed yet.'; return 0; }
  if [ "$(digest "$conf")" != "$after" ]; then
    outcome='Another corosync.conf is there by now; it stays.'
    return 1
  fi
  cp -p "$dir/back.conf" "$conf.back" && mv -f "$conf.back" "$conf" || { outcome='The old file could not be written.'; return 1; }
  sync "$conf" 2>/dev/null || :
  outcome='The old file is back.'
}

has_quorum() { limited 5 corosync-quorumtool -s 2>/dev/null | grep -q '^Quorate: *Yes'; }

# Through pmxcfs, which carries it to every node. Without quorum it takes nothing. If that lasts, it is the new file
# that cost the quorum: every node then runs the old settings from its local file, and /etc/pve gets them with the quorum
# that comes back. pmxcfs leaves the local file alone meanwhile: it installs a higher config_version only.
put_back_proxmox() {
  [ -e "$dir/installed" ] || { outcome='The new file was not installed yet.'; return 0; }
  gave_up=$(( $(now) + linger ))
  alone=$(( $(now) + patience ))
  while [ "$(now)" -lt "$gave_up" ]; do
    seen=$(limited 5 cat "$conf" 2>/dev/null | sha256sum | cut -c 1-64)
    if [ "$seen" = "$(digest "$dir/back.conf")" ]; then outcome='The old settings are back.'; return 0; fi
    if [ "$seen" = "$after" ]; then
      limited 10 sh -c 'cat "$1" > "$2.new" && mv -f "$2.new" "$2"' sh "$dir/back.conf" "$conf" 2>/dev/null && continue
      if [ "$(now)" -ge "$alone" ] && ! cmp -s "$dir/back.conf" "$local" && ! has_quorum; then
        say 'There is no quorum: the old settings run from the local file until /etc/pve can be written.'
        cp "$dir/back.conf" "$local.back" && mv -f "$local.back" "$local" && restart_engine
        restarted=yes
      fi
      echo 'waits until /etc/pve can be written' > "$dir/outcome"
    elif [ -n "$seen" ] && limited 5 test -s "$conf"; then
      outcome='Another corosync.conf is there by now; it stays.'
      return 1
    fi
    sleep 2
  done
  outcome='/etc/pve took no change: the cluster has no quorum. Put the old file back by hand.'
  return 1
}

bring_into_effect() {
  [ -e "$dir/loaded" ] || return 0
  sleep "$stagger"
  if [ "$manager" = proxmox ]; then
    # pmxcfs installs the file and has it loaded.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cmp -s "$dir/back.conf" "$local" && break; sleep 1; done
    [ "$method" = reload ] || [ "$restarted" = yes ] || restart_engine
    return 0
  fi
  if [ "$method" = reload ] && limited 20 corosync-cfgtool -R >/dev/null 2>&1; then
    for _ in 1 2 3 4 5; do
      if runs_version "$back_version"; then outcome="$outcome Corosync has loaded it."; return 0; fi
      sleep 1
    done
  fi
  restart_engine
  outcome="$outcome Corosync was restarted with it."
}

echo $$ > "$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
last=$(( $(now) + 600 ))
while :; do
  mine || exit 0
  deadline=$(cat "$dir/deadline" 2>/dev/null)
  case $deadline in '' | *[!0-9]*) deadline=$last ;; *) last=$deadline ;; esac
  if [ -e "$dir/decided" ]; then
    say 'The new corosync.conf was confirmed.'
    rm -rf "$dir"
    exit 0
  elif [ -e "$dir/revert" ]; then
    decide "$dir" reverted && why='It was taken back.' && break
  elif [ "$(now)" -ge "$deadline" ]; then
    decide "$dir" reverted && why='Nobody confirmed it in time.' && break
  fi
  sleep 1
done

outcome=
restarted=
if [ "$manager" = proxmox ]; then put_back=put_back_proxmox; else put_back=put_back_plain; fi
if "$put_back"; then bring_into_effect; fi
say "$why $outcome"
printf '%s %s\\n' "$why" "$outcome" > "$dir/outcome.new" && mv "$dir/outcome.new" "$dir/outcome"
sleep "$linger"
mine && rm -rf "$dir"
exit 0
`;
