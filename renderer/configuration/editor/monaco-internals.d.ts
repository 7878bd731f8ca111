/** What of Monaco's own parts `hovers.ts` touches; the package has no types for them. */
declare module 'monaco-editor/base/browser/ui/hover/hoverDelegateFactory.js' {
  export function setHoverDelegateFactory(make: (placement: 'mouse' | 'element', instant: boolean) => unknown): void;
}
declare module 'monaco-editor/editor/standalone/browser/standaloneServices.js' {
  export const StandaloneServices: {
    get(service: unknown): { createInstance(what: unknown, ...args: readonly unknown[]): unknown };
  };
}
declare module 'monaco-editor/platform/instantiation/common/instantiation.js' {
  export const IInstantiationService: unknown;
}
declare module 'monaco-editor/platform/hover/browser/hover.js' {
  export const WorkbenchHoverDelegate: unknown;
}
