declare module "*.css";
declare module "monaco-editor/esm/vs/editor/editor.worker.js?worker" {
  const maker: new () => Worker;
  export default maker;
}
declare var MonacoEnvironment: { getWorker(_: string, label: string): Worker };
