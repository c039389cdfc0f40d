/** Subscribe, and again 2 to 4 seconds after each end, until the returned function is called. */
export function keepSubscribed(subscribe: (ended: () => void) => () => void) {
  let leave = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    let isOver = false;
    leave = subscribe(() => {
      if (isOver) return;
      isOver = true;
      timer = setTimeout(start, 2000 + 2000 * Math.random());
    });
  };
  start();
  return () => {
    clearTimeout(timer);
    leave();
  };
}
