/** How often things changed since this process began: `.version` and `.vmlist` show it, so that readers need not compare. */
import { guestOf } from '../../tree/guests.ts';
import type { Tree } from '../../tree/tree.ts';

/** Files whose changes pmxcfs counts one by one: those that its readers keep in memory. */
const COUNTED = [
  ...['corosync.conf', 'corosync.conf.new', 'storage.cfg', 'user.cfg', 'domains.cfg', 'notifications.cfg'],
  ...['priv/notifications.cfg', 'priv/shadow.cfg', 'priv/acme/plugins.cfg', 'priv/tfa.cfg', 'priv/token.cfg'],
  ...['priv/ipam.db', 'datacenter.cfg', 'vzdump.cron', 'vzdump.conf', 'jobs.cfg', 'ha/crm_commands'],
  ...['ha/manager_status', 'ha/resources.cfg', 'ha/groups.cfg', 'ha/rules.cfg', 'ha/fence.cfg', 'status.cfg'],
  ...['replication.cfg', 'sdn/vnets.cfg', 'sdn/zones.cfg', 'sdn/controllers.cfg', 'sdn/subnets.cfg', 'sdn/ipams.cfg'],
  ...['sdn/dns.cfg', 'sdn/.running-config', 'virtual-guest/cpu-models.conf', 'virtual-guest/profiles.cfg'],
  ...['mapping/directory.cfg', 'mapping/pci.cfg', 'mapping/usb.cfg', 'firewall/cluster.fw'],
];

export class Counters {
  readonly #files = new Map(COUNTED.map((path) => [path, 1]));
  readonly #guests = new Map<number, number>();
  #guestChanges = 1;

  get files(): ReadonlyMap<string, number> {
    return this.#files;
  }
  /** Changes of the list of guests, or of a guest's configuration. */
  get guestChanges(): number {
    return this.#guestChanges;
  }
  /** The count at which a guest last changed. */
  guest(vmid: number): number {
    return this.#guests.get(vmid) ?? this.#guestChanges;
  }

  /** `paths` were created, changed or removed; `tree` is as it is afterwards. */
  note(tree: Tree, paths: readonly string[]): void {
    for (const path of paths) {
      const count = this.#files.get(path);
      if (count !== undefined) this.#files.set(path, count + 1);
      const guest = path.startsWith('nodes/') ? guestOf(path.split('/')) : null;
      if (guest === null) continue;
      this.#guestChanges += 1;
      if (tree.guest(guest.vmid) === undefined) this.#guests.delete(guest.vmid);
      else this.#guests.set(guest.vmid, this.#guestChanges);
    }
  }

  /** The tree is another one. */
  noteAll(tree: Tree): void {
    for (const [path, count] of this.#files) this.#files.set(path, count + 1);
    const guests = tree.guests();
    if (guests.length === 0 && this.#guests.size === 0) return;
    this.#guests.clear();
    this.#guestChanges += 1;
    for (const { vmid } of guests) this.#guests.set(vmid, this.#guestChanges);
  }
}
