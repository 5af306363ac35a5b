/** Keys of a page or a panel. A key typed into a field belongs to the field. */
import { useEffect, useRef } from 'react';

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.closest('input, textarea, select, [role="dialog"]') !== null)
  );
}

/** Whether the arrow keys mean something where they were pressed: in lists, charts, menus, and what can be scrolled. */
export function takesArrows(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest(
      '[tabindex="0"], [role="tab"], [role="menu"], [role="listbox"], [role="log"], [role="table"], [role="application"], [role="radio"]',
    ) !== null
  );
}

/** Call these while the component is there, each by its key; `null` for a key that means nothing now. */
export function useKeys(keys: Readonly<Record<string, (() => void) | null>>): void {
  const newest = useRef(keys);
  newest.current = keys;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
        return;
      newest.current[event.key]?.();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}
