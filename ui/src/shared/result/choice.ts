/** How an answer is drawn, as far as somebody chose it; the rest follows from its columns. It is kept in addresses and boards. */
import type { Schemas } from '../../api/wire';

export type ChartChoice = Partial<Schemas['ChartChoice']>;
export type ChartKind = Schemas['ChartKind'];

export const KINDS: readonly ChartKind[] = ['line', 'area', 'bars', 'heatmap', 'number', 'table'];
/** Written for a series that shall not be. */
export const NO_SERIES = '';

const COLUMNS = ['x', 'series', 'y'] as const;

/** As part of an address: `line;x=minute;series=endpoint;log`; `undefined` if nothing is chosen. */
export function choiceText(choice: ChartChoice): string | undefined {
  const named = COLUMNS.flatMap(name => {
    const value = choice[name];
    return value == null ? [] : [`${name}=${encodeURIComponent(value)}`];
  });
  const flags = (['stacked', 'log'] as const).filter(name => choice[name] === true);
  const text = [choice.kind ?? '', ...named, ...flags].join(';');
  return text === '' ? undefined : text;
}

/** What of a text is a choice; the rest is passed over. */
export function readChoice(text: string | undefined): ChartChoice {
  const [kind, ...parts] = (text ?? '').split(';');
  const choice: ChartChoice = {};
  const known = KINDS.find(it => it === kind);
  if (known !== undefined) choice.kind = known;
  for (const part of parts) {
    const [name, value] = part.split('=', 2);
    const column = COLUMNS.find(it => it === name);
    if (column !== undefined && value !== undefined) choice[column] = decoded(value);
    if (part === 'stacked' || part === 'log') choice[part] = true;
  }
  return choice;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
