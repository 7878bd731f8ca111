/** One node's part of a trial, over SSH: its watchdog is armed before anything is changed there. */
import type { SshConnection } from '../ssh/connection.ts';
import { quote } from '../ssh/shell.ts';
import { LOCAL_CONF, TREE_CONF, TRIAL_DIRECTORY } from './questions.ts';
import type { TrialMeta } from './trial-state.ts';
import { COMMON, settingsFile, WATCHDOG } from './watchdog.ts';
import type { WatchdogSettings } from './watchdog.ts';

export interface ArmOrder {
  readonly meta: TrialMeta;
  readonly settings: WatchdogSettings;
  /** SHA-256 of the file that lies there now: another one is refused. */
  readonly before: string;
  /** The file on trial. */
  readonly afterText: string;
  /** On Proxmox VE what it goes back to: the old settings under a version that pmxcfs takes. Null: the file that is there. */
  readonly backText: string | null;
  /** Seconds from now until it goes back, unless that is put off. */
  readonly withinS: number;
}

const dir = TRIAL_DIRECTORY;
/** A step that takes longer than this has failed, in milliseconds. */
const STEP_MS = 20_000;
const RESTART_MS = 120_000;

export class TrialHost {
  readonly name: string;
  readonly nodeId: number;
  readonly #ssh: SshConnection;

  constructor(name: string, nodeId: number, ssh: SshConnection) {
    this.name = name;
    this.nodeId = nodeId;
    this.#ssh = ssh;
  }

  /**
   * Checks that the node would take the file, and starts its watchdog. Resolves to what Corosync itself says of the
   * file. Rejects with why not; nothing is left there then.
   */
  async arm({ meta, settings, before, afterText, backText, withinS }: ArmOrder): Promise<string> {
    const conf = settings.proxmox ? TREE_CONF : LOCAL_CONF;
    const files: Readonly<Record<string, string>> = {
      settings: settingsFile(settings),
      'meta.json': JSON.stringify(meta),
      'after.conf': afterText,
      watchdog: WATCHDOG,
      ...(backText === null ? {} : { 'back.conf': backText }),
    };
    const stdin = Object.entries(files)
      .map(([name, text]) => `${name} ${Buffer.from(text, 'utf8').toString('base64')}\n`)
      .join('');
    const script = `${COMMON}
umask 077
give_up() { echo "$2"; rm -rf ${dir}; exit "$1"; }
decided() { [ -e ${dir}/decided ]; }
over() { decided && [ -s ${dir}/outcome ] && ! grep -q '^waits ' ${dir}/outcome; }
# A trial that is decided is over within seconds: its own watchdog takes it away, or says how it went back.
for _ in 1 2 3 4 5 6 7 8; do decided && ! over || break; sleep 1; done
if [ -d ${dir} ]; then
  if over || ! kill -0 "$(cat ${dir}/pid 2>/dev/null || echo none)" 2>/dev/null; then rm -rf ${dir}
  elif decided; then echo 'it is still on its way back from another change'; exit 73; fi
fi
mkdir ${dir} 2>/dev/null || { echo 'another change is on trial here'; exit 73; }
while read -r name data; do printf %s "$data" | base64 -d > "${dir}/$name" || give_up 74 'the files did not arrive'; done
[ "$(digest ${dir}/after.conf)" = ${settings.after} ] || give_up 74 'the file did not arrive whole'
[ "$(digest ${conf})" = ${before} ] || give_up 75 'its corosync.conf is another by now'
${backText === null ? `cp -p ${conf} ${dir}/back.conf || give_up 74 'its corosync.conf cannot be copied'` : ':'}
# Corosync 3 judges a file itself; older ones do not know the option.
checked='Corosync here cannot judge a file beforehand.'
if limited 10 corosync -h 2>&1 | grep -q -- '-t '; then
  said=$(limited 10 corosync -t -c ${dir}/after.conf 2>&1) || give_up 76 "Corosync refuses it: $(echo "$said" | tail -n 1)"
  checked='Corosync would take it.'
fi
echo effect > ${dir}/phase
echo $(( $(now) + ${Math.ceil(withinS)} )) > ${dir}/deadline
if ! { [ -d /run/systemd/system ] && systemd-run --quiet --unit=ringmaster-trial-${settings.id} /bin/sh ${dir}/watchdog ${dir} >/dev/null 2>&1; }; then
  setsid /bin/sh ${dir}/watchdog ${dir} </dev/null >/dev/null 2>&1 &
fi
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  [ -s ${dir}/pid ] && { echo "$checked"; exit 0; }
  sleep 0.2 2>/dev/null || sleep 1
done
give_up 77 'its watchdog does not start'
`;
    return this.#must(script, STEP_MS, stdin);
  }

  /** Puts the file on trial into its place. On Proxmox VE `here` says which one node does it for all. */
  async install(settings: WatchdogSettings, before: string, here: boolean): Promise<void> {
    const plain = `cp -p ${LOCAL_CONF} ${LOCAL_CONF}.bak && cp -p ${LOCAL_CONF} ${LOCAL_CONF}.new && cat ${dir}/after.conf > ${LOCAL_CONF}.new &&
{ sync ${LOCAL_CONF}.new 2>/dev/null || :; } && mv -f ${LOCAL_CONF}.new ${LOCAL_CONF}`;
    const proxmox = `cat ${dir}/after.conf > ${TREE_CONF}.new && cat ${TREE_CONF} > ${TREE_CONF}.bak && mv -f ${TREE_CONF}.new ${TREE_CONF}`;
    const conf = settings.proxmox ? TREE_CONF : LOCAL_CONF;
    const check = `[ "$(digest ${conf})" = ${before} ] || { echo 'its corosync.conf has been changed meanwhile'; exit 75; }`;
    const work = !settings.proxmox ? plain : here ? proxmox : ':';
    await this.#step(
      settings.id,
      `${here || !settings.proxmox ? check : ':'}\ntouch ${dir}/installed\n${work}`,
      STEP_MS,
    );
  }

  /** On Proxmox VE: has pmxcfs put it into /etc/corosync here? */
  async hasLocal(digest: string): Promise<boolean> {
    return (await this.#run(`${COMMON}\n[ "$(digest ${LOCAL_CONF})" = ${digest} ]`, STEP_MS)).code === 0;
  }

  /** From now on going back means to load the old file too. */
  async markLoaded(id: string): Promise<void> {
    await this.#step(id, `touch ${dir}/loaded`, STEP_MS);
  }

  /** Every Corosync of the cluster reads its file anew (corosync-cfgtool(8), -R). */
  async reload(id: string): Promise<void> {
    await this.#step(id, 'limited 25 corosync-cfgtool -R 2>&1', 30_000);
  }

  async restart(id: string): Promise<void> {
    await this.#step(id, `touch ${dir}/loaded; restart_engine 2>&1`, RESTART_MS);
  }

  /** Puts the deadline off, to so many seconds from now. */
  async extend(id: string, withinS: number, phase: 'effect' | 'confirm'): Promise<void> {
    const script = `echo $(( $(now) + ${Math.ceil(withinS)} )) > ${dir}/deadline.new && mv ${dir}/deadline.new ${dir}/deadline && echo ${phase} > ${dir}/phase`;
    await this.#step(id, script, STEP_MS);
  }

  /** The file stays. Rejects when the node has gone back already, or cannot be reached. */
  async confirm(id: string): Promise<void> {
    await this.#step(
      id,
      `decide ${dir} confirmed || [ "$(cat ${dir}/decided 2>/dev/null)" = confirmed ] || { echo 'it has gone back already'; exit 78; }`,
      STEP_MS,
    );
  }

  /** The watchdog takes the file back now. Resolves to what it did. */
  async revert(id: string, withinMs: number): Promise<string> {
    const seconds = Math.ceil(withinMs / 1000);
    const script = `touch ${dir}/revert
end=$(( $(now) + ${seconds} ))
while [ "$(now)" -lt "$end" ]; do
  [ -s ${dir}/outcome ] && ! grep -q '^waits ' ${dir}/outcome && { cat ${dir}/outcome; exit 0; }
  sleep 1
done
echo 'it is still on its way back'
exit 79`;
    return this.#step(id, script, withinMs + 5000);
  }

  /** Runs any other step of a procedure on this node. Rejects with its last words. */
  async shell(script: string, withinMs: number, stdin = ''): Promise<string> {
    return this.#must(`${COMMON}\n${script}`, withinMs, stdin);
  }

  /** Only while this trial is the one on the node. */
  #step(id: string, script: string, withinMs: number): Promise<string> {
    const mine = `grep -qx id=${quote(id)} ${dir}/settings 2>/dev/null || { echo 'this trial is over there'; exit 72; }`;
    return this.#must(`${COMMON}\n${mine}\n${script}`, withinMs);
  }

  async #must(script: string, withinMs: number, stdin = ''): Promise<string> {
    const { code, text } = await this.#run(script, withinMs, stdin);
    if (code === 0) return text;
    throw new Error(`${this.name}: ${text === '' ? `a step failed (exit code ${code})` : text}`);
  }

  async #run(script: string, withinMs: number, stdin = ''): Promise<{ code: number; text: string }> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.name} does not answer.`)), withinMs);
    });
    try {
      const done = await Promise.race([this.#ssh.exec(script, Buffer.from(stdin, 'utf8')), late]);
      return { code: done.code, text: `${done.stdout}${done.code === 0 ? '' : done.stderr}`.trim() };
    } finally {
      clearTimeout(timer);
    }
  }
}
