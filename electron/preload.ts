/** The one thing the page gets from Electron: a line to the host, each message one JSON document. */
import { contextBridge, ipcRenderer } from 'electron';
import { CHANNEL } from './window-settings.ts';

contextBridge.exposeInMainWorld('ringmaster', {
  post: (line: string): void => ipcRenderer.send(CHANNEL, String(line)),
  on: (receive: (line: string) => void): void => {
    ipcRenderer.on(CHANNEL, (_event, line: unknown) => receive(String(line)));
  },
});
