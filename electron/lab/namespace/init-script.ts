/**
 * The first process of a lab node. A shell is enough: while it waits for sshd it collects every orphan
 * (dash and bash both wait for any child), and when it is killed the kernel ends the whole node at once
 * (pid_namespaces(7)).
 *
 * It starts in the node's directory and puts the private directories there over the machine's. Sources
 * are named relative to it, and `-c` keeps mount(8) from making them absolute: the lab may itself lie
 * below /var or /tmp, which are covered on the way.
 */

/** Files in a node's directory that this script and the lab know. */
export const PID_FILE = 'init.pid';

/** Directories of a node that are mounted over those of the machine. */
export const PRIVATE_DIRECTORIES = ['etc', 'var', 'root', 'usr/local/bin'] as const;

export const initScript = (): string => `#!/bin/sh
# First process of a Ringmaster lab node. Runs in the node's directory; $1 is its name.
set -eu

# Who this is, as the machine sees it: /proc is still the machine's.
read -r self < /proc/self/stat
read -r boot < /proc/sys/kernel/random/boot_id
printf '%s\\n%s\\n' "$self" "$boot" > ${PID_FILE}.new
mv ${PID_FILE}.new ${PID_FILE}

mount -t proc -o nosuid,nodev,noexec proc /proc
# Names of other labs' namespaces would be kept alive by this copy of the mount table.
umount -R -l /run/netns 2>/dev/null || :
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -m 1777 /run/lock
mkdir /run/sshd
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts /dev/pts || echo 'terminals are the machine'"'"'s'
${PRIVATE_DIRECTORIES.map((path) => `mount -c --bind ${path} /${path}`).join('\n')}
printf '%s' "$1" > /proc/sys/kernel/hostname
cd /

agent=/var/lib/ringmaster/current/ringmaster-agent
if [ -x "$agent" ]; then "$agent" supervise --detach < /dev/null & fi

while :; do
  /usr/sbin/sshd -D -e < /dev/null >> /var/log/sshd.log 2>&1 &
  wait $! || :
  sleep 1
done
`;
