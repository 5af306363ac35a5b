/**
 * Keys that work on every page. A key typed into a field belongs to the field, and one on a button to the button.
 */
import { useEffect, useRef } from 'react';
import { isTyping, takesArrows } from '../shared/keys';
import { useStream } from '../shared/live';
import { type RangeControl, useGo } from '../shared/nav';
import { PAGES } from './pages';

/** How long `g` waits for the letter of a page. */
const SECOND_KEY_WITHIN_MS = 1_200;

export const KEYS: readonly [string, string][] = [
  ['?', 'this sheet'],
  ['Ctrl / Cmd K', 'command palette'],
  ['g, then o l q b a p r', 'go to Overview, Logs, Query, Boards, Anomalies, Pipeline, Reports'],
  ['Space', 'freeze all panels at one epoch, or go on'],
  ['/', 'into the filter or the editor'],
  ['j, k', 'next, previous row of a list'],
  ['Enter', 'open the row; run what is focused'],
  ['i', 'receipt of the focused number'],
  ['t', 'table in place of the focused chart'],
  ['b', 'what sets the brushed times apart from those before'],
  ['d', 'compare: what changed between two times'],
  ['r', 'choose or type a time range'],
  ['Left, Right', 'back and forward by one time range'],
  ['-', 'zoom out to twice the time range'],
  ['Backspace', 'undo the last change of the time range'],
  ['in a chart: Left, Right', 'move the crosshair; with Shift select times'],
  ['in a chart: Enter, Esc', 'zoom to the selected times; leave'],
  ['Ctrl / Cmd Enter', 'run the query'],
  ['Esc', 'close what is open'],
];

interface Actions {
  onHelp: () => void;
  onPalette: () => void;
  /** The range of the page; `null` where it has none. */
  range: RangeControl | null;
}

export function useKeyboard({ onHelp, onPalette, range }: Actions): void {
  const go = useGo();
  const { store } = useStream();
  const newest = useRef(range);
  newest.current = range;
  useEffect(() => {
    let going = 0;
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        onPalette();
        return;
      }
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
        return;
      if (going > Date.now()) {
        going = 0;
        const page = PAGES.find(({ key }) => key === event.key);
        if (page !== undefined) go({}, page.to);
        return;
      }
      switch (event.key) {
        case 'g':
          going = Date.now() + SECOND_KEY_WITHIN_MS;
          break;
        case '?':
          onHelp();
          break;
        case 'Backspace':
          newest.current?.undo?.();
          break;
        case 'r': {
          const button = document.querySelector<HTMLElement>('[data-range-button]');
          // It would be typed into the field that opens.
          event.preventDefault();
          button?.click();
          break;
        }
        case '-':
          newest.current?.zoomOut();
          break;
        case 'ArrowLeft':
        case 'ArrowRight':
          if (takesArrows(event.target) || event.shiftKey) return;
          if (event.key === 'ArrowLeft') newest.current?.shift(-1);
          else if (newest.current?.span.fixed) newest.current.shift(1);
          break;
        case '/': {
          const field = document.querySelector<HTMLElement>('[data-focus="slash"]');
          if (field === null) return;
          event.preventDefault();
          field.focus();
          break;
        }
        case ' ':
          if (
            event.target instanceof Element &&
            event.target.closest('button, a, select, summary, [role]') !== null
          )
            return;
          event.preventDefault();
          store.freeze(!store.isFrozen());
          break;
      }
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [go, store, onHelp, onPalette]);
}
