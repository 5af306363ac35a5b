/** What the address of the page stands for, and links to it. */
import { useLocation } from '@tanstack/react-router';
import { copyText } from '../shared/copy';
import { fixedOf } from '../shared/search';

/** Pages whose content is of now, whatever range is chosen. */
const WITHOUT_RANGE = /\/(query|pipeline|boards)$/;

/** Whether the range of time says what the page shows. */
export function useHasRange(): boolean {
  return !WITHOUT_RANGE.test(useLocation().pathname);
}

/** Copy a link to what is shown; with times, it keeps showing these. Resolves to whether that was possible. */
export function copyLink(times: { from: number; to: number } | null): Promise<boolean> {
  return copyText(times === null ? location.href : fixedLink(location.href, times.from, times.to));
}

export function fixedLink(href: string, from_ms: number, to_ms: number): string {
  const url = new URL(href);
  url.searchParams.delete('range');
  for (const [name, value] of Object.entries(fixedOf(from_ms, to_ms))) url.searchParams.set(name, value);
  return url.href;
}
