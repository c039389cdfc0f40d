interface Failure {
  readonly extensions?: { readonly code?: unknown; readonly retryable?: unknown };
}

/** Whether what ended a subscription passes: a cut, a restart, a token that has expired. */
const passes = ({ extensions }: Failure) => extensions?.retryable === true || extensions?.code === "UNAUTHENTICATED";

/** Subscribes, and again 2 to 4 seconds after an end that passes, until the returned function is called. */
export function keepSubscribed(subscribe: (ended: (failures?: readonly Failure[]) => void) => () => void, wait = 2000) {
  let leave = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    leave(); // Of several subscriptions, those that have not ended.
    let isOver = false;
    leave = subscribe((failures = []) => {
      if (isOver) return;
      isOver = true;
      if (failures.every(passes)) timer = setTimeout(start, wait + wait * Math.random());
    });
  };
  start();
  return () => {
    clearTimeout(timer);
    leave();
  };
}
