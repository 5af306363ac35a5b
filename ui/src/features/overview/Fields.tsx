/** Fields by how far two parts of the records are apart in them, each value with a bar for either part. */
import { formatNumber } from '../../shared/format';
import type { Apart } from './compare';

interface FieldsProps {
  fields: readonly Apart[];
  /** What the bars are, as words. */
  inside: string;
  outside: string;
  onPick: (column: string, value: string | number) => void;
}

/** Shares that differ by less are the same to a reader. */
const APART_NOTABLE = 3;

export function Fields({ fields, inside, outside, onPick }: FieldsProps) {
  const named = (some: readonly Apart[]) => some.map(({ column }) => column).join(', ');
  const told = fields.filter(({ followsTime }) => !followsTime);
  const notable = told.filter(({ apart }) => apart >= APART_NOTABLE);
  const alike = told.filter(({ apart }) => apart < APART_NOTABLE);
  // Parts of different times always differ in these.
  const ofTime = fields.filter(({ followsTime, apart }) => followsTime && apart >= APART_NOTABLE);
  return (
    <div className="flex flex-col gap-3">
      <p className="flex flex-wrap gap-x-4 text-label text-muted">
        <Key colour="var(--series-1)">{inside}</Key>
        <Key colour="var(--muted)">{outside}</Key>
        <span>shares in percent</span>
      </p>
      {notable.map(({ column, isText, apart, values }) => (
        <section key={column} aria-label={column}>
          <h3 className="flex items-baseline gap-2">
            <b className="font-medium">{column}</b>
            <span className="text-label text-muted">up to {formatNumber(apart)} points apart</span>
          </h3>
          <ul>
            {values.map(({ value, inside, outside }) => (
              <li
                key={value}
                className="grid grid-cols-[minmax(72px,1fr)_2fr_88px] items-center gap-2 rounded hover:bg-hover"
              >
                <button
                  type="button"
                  className="truncate text-left hover:underline"
                  title={`The records with ${column} ${value}`}
                  onClick={() => onPick(column, isText ? value : Number(value))}
                >
                  {value}
                </button>
                <span aria-hidden="true" className="flex flex-col gap-0.5">
                  <Share percent={inside} colour="var(--series-1)" />
                  <Share percent={outside} colour="var(--muted)" />
                </span>
                <span className="text-right text-label">
                  {formatNumber(inside, 1)} <span className="text-muted">· {formatNumber(outside, 1)}</span>
                </span>
              </li>
            ))}
          </ul>
        </section>
      ))}
      {alike.length > 0 && (
        <p className="text-muted">
          {notable.length === 0 ? 'No notable difference in ' : 'No difference in '}
          {named(alike)}.
        </p>
      )}
      {ofTime.length > 0 && <p className="text-muted">Different as their times are: {named(ofTime)}.</p>}
    </div>
  );
}

function Share({ percent, colour }: { percent: number; colour: string }) {
  return (
    <span
      className="block h-1.5 rounded-sm"
      style={{ width: `${Math.min(100, Math.max(percent, 0.5))}%`, background: colour }}
    />
  );
}

function Key({ colour, children }: { colour: string; children: string }) {
  return (
    <span className="inline-flex items-center gap-1">
      <span aria-hidden="true" className="inline-block h-2 w-3.5 rounded-sm" style={{ background: colour }} />
      {children}
    </span>
  );
}
