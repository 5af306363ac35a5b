/** The columns of the list as the address has them, and how they are changed. */
import { useMemo } from 'react';
import { useLogColumns } from '../../shared/logcolumns';
import { useGo, useUrl } from '../../shared/nav';
import { type CatalogColumn, readColumns, type Shown, writeColumns } from './columns';

export interface Lines {
  known: readonly CatalogColumn[];
  columns: readonly Shown[];
  hasLevel: boolean;
  /** The column with the event time, which every line has. */
  time: string;
  /** Their names as requests take them. */
  names: string;
  change: (columns: readonly Shown[]) => void;
  reset: () => void;
  isChanged: boolean;
}

/** `undefined` until the columns are known, `null` if there is no log. */
export function useLines(): Lines | null | undefined {
  const { columns: text } = useUrl();
  const go = useGo();
  const log = useLogColumns();
  return useMemo(() => {
    if (log === null || log === undefined) return log;
    const columns = readColumns(text, log.columns, log.shown);
    return {
      known: log.columns,
      columns,
      hasLevel: log.has_level,
      time: log.time,
      names: columns.map(({ column }) => column.name).join(','),
      change: next => go({ columns: writeColumns(next, log.shown) } as object),
      reset: () => go({ columns: undefined } as object),
      isChanged: text !== undefined,
    };
  }, [log, text, go]);
}
