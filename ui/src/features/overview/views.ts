/** In which order the rows of a view are shown. Pure functions. */
import type { Row, Schemas } from '../../api/wire';
import { numberOf } from '../../shared/format';

type View = Schemas['ViewBody'];

const FIGURES = new Set(['count', 'share', 'measure', 'duration', 'bytes', 'money']);

/** In the view's own order, else by the first figure, largest first. */
export function orderOf(view: Pick<View, 'order' | 'columns'>, rows: readonly Row[]): Row[] {
  const figure = view.columns.find(({ role }) => FIGURES.has(role))?.name ?? null;
  const order =
    view.order.length > 0 ? view.order : [{ column: figure, descending: true, nulls_first: false }];
  return [...rows].sort((a, b) => {
    for (const { column, descending, nulls_first } of order) {
      if (column == null) continue;
      const by = compared(a[column], b[column], descending, nulls_first);
      if (by !== 0) return by;
    }
    return 0;
  });
}

function compared(a: unknown, b: unknown, descending: boolean, nullsFirst: boolean): number {
  if (a == null || b == null) return a == null && b == null ? 0 : (a == null) === nullsFirst ? -1 : 1;
  const [one, other] = [numberOf(a), numberOf(b)];
  const [text, otherText] = [String(a), String(b)];
  const by = one !== null && other !== null ? one - other : text < otherText ? -1 : text > otherText ? 1 : 0;
  return descending ? -by : by;
}
