import { type RefObject, useEffect, useRef } from "react";

const NEAR_PX = 160;

/** Keep the end of the page in view while it grows, unless the user has scrolled away from it. */
export function useStickToEnd(content: unknown): RefObject<HTMLDivElement | null> {
  const end = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    const look = (): void => {
      const { scrollHeight } = document.documentElement;
      isAtEnd.current = scrollHeight - innerHeight - scrollY < NEAR_PX;
    };
    addEventListener("scroll", look, { passive: true });
    return () => {
      removeEventListener("scroll", look);
    };
  }, []);
  useEffect(() => {
    if (isAtEnd.current) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  }, [content]);
  return end;
}
