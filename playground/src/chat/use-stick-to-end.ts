import { type RefObject, useEffect, useRef } from "react";

const NEAR_PX = 160;

/**
 * Keep the end of the page in view while it grows, unless the user has scrolled away from it or has
 * unfolded something.
 *
 * @param count Of messages: a new one is always shown.
 * @returns A `ref` for what grows.
 */
export function useStickToEnd(count: number): RefObject<HTMLElement | null> {
  const content = useRef<HTMLElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    let lastY = scrollY;
    const look = (): void => {
      const isNear = document.documentElement.scrollHeight - innerHeight - scrollY < NEAR_PX;
      // What grows leaves the end behind, but only a user goes up.
      if (isNear) isAtEnd.current = true;
      else if (scrollY < lastY) isAtEnd.current = false;
      lastY = scrollY;
    };
    const onClick = (event: MouseEvent): void => {
      if (event.target instanceof Element && event.target.closest("summary")) isAtEnd.current = false;
    };
    const growing = new ResizeObserver(() => {
      if (isAtEnd.current) toEnd();
    });
    if (content.current) growing.observe(content.current);
    addEventListener("scroll", look, { passive: true });
    addEventListener("click", onClick, { capture: true });
    return () => {
      growing.disconnect();
      removeEventListener("scroll", look);
      removeEventListener("click", onClick, { capture: true });
    };
  }, []);
  useEffect(() => {
    isAtEnd.current = true;
    toEnd();
  }, [count]);
  return content;
}

function toEnd(): void {
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}
