import { setHoverDelegateFactory } from 'monaco-editor/base/browser/ui/hover/hoverDelegateFactory.js';
import { StandaloneServices } from 'monaco-editor/editor/standalone/browser/standaloneServices.js';
import { WorkbenchHoverDelegate } from 'monaco-editor/platform/hover/browser/hover.js';
import { IInstantiationService } from 'monaco-editor/platform/instantiation/common/instantiation.js';

/**
 * To be called after an editor is made. Monaco 0.57 lets the editor made last make the tooltips of the whole page
 * (standaloneCodeEditor.js), also of editors that outlive it: a comparison that was closed then ends every later
 * tooltip in "InstantiationService has been disposed". The services of the page outlive all editors.
 */
export function hoversOutliveEditors(): void {
  const services = StandaloneServices.get(IInstantiationService);
  setHoverDelegateFactory((placement, instantHover) =>
    services.createInstance(WorkbenchHoverDelegate, placement, { instantHover }, {}),
  );
}
