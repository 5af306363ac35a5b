/**
 * What people said of incidents: that somebody sees to it, that its series is muted for a while, that it was no anomaly.
 * Pure functions; they say what holds at a moment and how it is worded.
 */
import type { Schemas } from '../api/wire';
import { type Detected, keyText, minuteText } from './detected';
import { formatName } from './format';
import { zoneName } from './zone';

type Said = Schemas['Said'];
export type Action = Schemas['Action'];
type Judgeable = Pick<Detected, 'acknowledged' | 'muted' | 'dismissed'>;

/** What can be said of an incident, and how it is taken back. */
export type Kind = 'acknowledged' | 'muted' | 'dismissed';
export const KINDS: readonly Kind[] = ['acknowledged', 'muted', 'dismissed'];

export const WORDS: Record<Kind, string> = {
  acknowledged: 'acknowledged',
  muted: 'muted',
  dismissed: 'not an anomaly',
};

export const KIND_OF: Record<Action, Kind> = {
  acknowledge: 'acknowledged',
  unacknowledge: 'acknowledged',
  mute: 'muted',
  unmute: 'muted',
  dismiss: 'dismissed',
  reinstate: 'dismissed',
};

/** How long a series can be muted, as the API reads it. */
export const MUTES = ['1 hour', '8 hours', '1 day', '1 week'] as const;

/** What holds of it now; a mute that is over is none. */
export function saidOf(it: Judgeable, kind: Kind, now_ms: number): Said | null {
  const said = it[kind] ?? null;
  if (kind !== 'muted' || said?.until == null) return said;
  return Date.parse(said.until) < now_ms ? null : said;
}

/** Short words for what holds of it now. */
export function wordsOf(it: Judgeable, now_ms: number): string[] {
  return KINDS.filter(kind => saidOf(it, kind, now_ms) !== null).map(kind => WORDS[kind]);
}

/** Why nobody needs to be alarmed by it, if so. */
export function handledOf(it: Judgeable, now_ms: number): 'acknowledged' | 'muted' | null {
  if (saidOf(it, 'acknowledged', now_ms) !== null) return 'acknowledged';
  return saidOf(it, 'muted', now_ms) === null ? null : 'muted';
}

export function isDismissed({ dismissed }: Pick<Judgeable, 'dismissed'>): boolean {
  return dismissed != null;
}

/** Who said it, when or until when, and their note; it follows the word for it. */
export function saidText(kind: Kind, { by, at, until, note }: Said, today: string): string {
  const minute = (time: string | null | undefined) =>
    time == null ? null : minuteText(Date.parse(time), today);
  const end = minute(until);
  const said = minute(at);
  const noted = note == null || note === '' ? '' : `: “${note}”`;
  if (kind === 'muted') return `by ${by}${end === null ? '' : ` until ${end} ${zoneName()}`}${noted}`;
  return `by ${by}${said === null ? '' : `, ${said} ${zoneName()}`}${noted}`;
}

/** What a mute is about. */
export function seriesText(it: Pick<Detected, 'metric' | 'key'>): string {
  const key = keyText(it);
  return `${formatName(it.metric)}${key === '' ? '' : ` of ${key}`}`;
}

/** How many incidents are over, and how many of them were no anomaly; `null` if none was. */
export function verdictsOf(
  all: readonly Pick<Detected, 'state' | 'withdrawn_ms' | 'dismissed'>[],
): { closed: number; dismissed: number } | null {
  const closed = all.filter(it => it.withdrawn_ms === null && it.state === 'closed');
  const dismissed = closed.filter(isDismissed).length;
  return dismissed === 0 ? null : { closed: closed.length, dismissed };
}
