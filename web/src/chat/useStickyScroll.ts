// Follows the end of a growing thread while its reader is there, and never moves one who is not.
import { type RefObject, useCallback, useEffect, useRef, useState } from "react";

/** So near to the end counts as at the end. */
const NEAR_PX = 48;

export interface StickyScroll {
  box: RefObject<HTMLElement | null>;
  content: RefObject<HTMLDivElement | null>;
  atEnd: boolean;
  toEnd: () => void;
}

export function useStickyScroll(): StickyScroll {
  const box = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = useCallback(() => {
    follows.current = true;
    setAtEnd(true);
    const node = box.current;
    if (node) node.scrollTop = node.scrollHeight;
  }, []);
  useEffect(() => {
    const node = box.current;
    const inner = content.current;
    if (!node || !inner) return;
    let lastTop = node.scrollTop;
    const onScroll = (): void => {
      const near = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_PX;
      // Growth of the content is no scrolling: only a move upwards ends the following.
      if (near) follows.current = true;
      else if (node.scrollTop < lastTop) follows.current = false;
      lastTop = node.scrollTop;
      setAtEnd(near || follows.current);
    };
    const observer = new ResizeObserver(() => {
      if (follows.current) node.scrollTop = node.scrollHeight;
      else onScroll();
    });
    node.addEventListener("scroll", onScroll, { passive: true });
    observer.observe(inner);
    observer.observe(node);
    return () => {
      node.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, []);
  return { box, content, atEnd, toEnd };
}
