/** What a running supervisor answers on its socket (birpc over JSON lines). Types only. */
import type { ServiceState } from '../rpc/api.ts';

export type ServiceName = ServiceState['name'];

export interface SupervisorControl {
  /** Version and process id of the supervisor. */
  hello(): { version: string; pid: number };
  services(): ServiceState[];
  /** Starts a stopped service; does nothing when it runs. Resolves when its process exists. */
  start(name: ServiceName): Promise<void>;
  /** Resolves when its process has ended. It stays stopped until `start`. */
  stop(name: ServiceName): Promise<void>;
  restart(name: ServiceName): Promise<void>;
  /** Stops pmxcfs, then the engine, then itself. Resolves just before the process ends. */
  shutdown(): Promise<void>;
}
