declare module "*.css";
declare module "monaco-editor/esm/vs/editor/editor.worker.js?worker" {
  const maker: new () => Worker;
  export default maker;
}
declare module "monaco-editor/esm/vs/editor/browser/config/tabFocus.js" {
  /** Whether Tab moves the focus out of editors, all of them. */
  export const TabFocus: { setTabFocusMode(isOn: boolean): void };
}
declare var MonacoEnvironment: { getWorker(_: string, label: string): Worker };
