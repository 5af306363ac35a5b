/** What the page shows of an answer. */
import type { Column, Row } from '../../api/wire';
import { formatNumber } from '../../shared/format';

/** Rows that are shown, and the statement they are of. */
export interface Shown {
  of: string;
  columns: readonly Column[];
  rows: readonly Row[];
  partial: boolean;
}

export function rowsOf(count: number): string {
  return `${formatNumber(count)} ${count === 1 ? 'row' : 'rows'}`;
}
