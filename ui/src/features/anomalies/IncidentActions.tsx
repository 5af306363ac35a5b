/**
 * What a person can say of an incident: that they see to it, that its series is muted for a while, that it was no anomaly;
 * and how each is taken back. A commit has it once the button no longer says so.
 */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { ApiError, answerOf, api } from '../../api/client';
import { ChangeButton } from '../../shared/change';
import type { Detected } from '../../shared/detected';
import { useNow, useToday } from '../../shared/live';
import { sentence } from '../../shared/panel';
import { keepName, nameKept } from '../../shared/person';
import { Fact } from '../../shared/receipt';
import {
  type Action,
  KIND_OF,
  KINDS,
  type Kind,
  MUTES,
  saidOf,
  saidText,
  seriesText,
  WORDS,
} from '../../shared/said';
import { useMayChange, useUser } from '../../shared/session';
import { Button } from '../../shared/ui/button';
import { Menu } from '../../shared/ui/menu';

const NOW_EVERY_MS = 5_000;
/** The list has it before a commit does. */
const LISTED_MS = 300;
const FIELD = 'h-7 min-w-0 rounded border border-line bg-ground px-2';

interface Asked {
  action: Action;
  /** Nobody where the server knows who asks. */
  by: string | null;
  note: string;
  for: string | null;
}

function useAction(incident: string, onDone: () => void) {
  const queries = useQueryClient();
  const list = () => void queries.invalidateQueries({ queryKey: ['incidents'] });
  return useMutation({
    mutationFn: (body: Asked) => {
      setTimeout(list, LISTED_MS);
      const path = { incident };
      return answerOf(api.POST('/api/v1/incidents/{incident}/actions', { params: { path }, body }));
    },
    onSuccess: onDone,
    onSettled: list,
  });
}

export function IncidentActions({ incident }: { incident: Detected }) {
  const now_ms = useNow(NOW_EVERY_MS);
  const user = useUser();
  const mayChange = useMayChange();
  const [name, setName] = useState(nameKept);
  const [isNaming, setNaming] = useState(name === '');
  const [isMissing, setMissing] = useState(false);
  const [note, setNote] = useState('');
  const field = useRef<HTMLInputElement>(null);
  const { mutate, isPending, variables, error } = useAction(incident.incident, () => setNote(''));
  const act = (action: Action, muted: string | null = null) => {
    const said = { action, note: note.trim(), for: muted };
    // The server knows who is signed in.
    if (user !== null) return mutate({ ...said, by: null });
    const by = name.trim();
    setMissing(by === '');
    if (by === '') {
      field.current?.focus();
      return;
    }
    keepName(by);
    setNaming(false);
    mutate({ ...said, by });
  };
  const isSaving = (kind: Kind) => isPending && variables !== undefined && KIND_OF[variables.action] === kind;
  const button = (kind: Kind, label: string, onClick?: () => void) => (
    <ChangeButton key={kind} disabled={isPending} data-action={kind} {...(onClick && { onClick })}>
      {isSaving(kind) ? 'Saving…' : label}
    </ChangeButton>
  );
  const toggle = (kind: Kind, set: [string, Action], undo: [string, Action]) => {
    const [label, action] = saidOf(incident, kind, now_ms) === null ? set : undo;
    return button(kind, label, () => act(action));
  };
  const isMuted = saidOf(incident, 'muted', now_ms) !== null;
  return (
    <div className="flex flex-col gap-1 px-3 pb-2">
      <div className="flex flex-wrap items-center gap-2">
        {toggle('acknowledged', ['Acknowledge', 'acknowledge'], ['Unacknowledge', 'unacknowledge'])}
        {isMuted || isSaving('muted') ? (
          button('muted', 'Unmute', () => act('unmute'))
        ) : !mayChange ? (
          button('muted', 'Mute…')
        ) : (
          <Menu
            title={`Mute ${seriesText(incident)} for`}
            trigger={button('muted', 'Mute…')}
            items={MUTES.map(label => ({ label, onSelect: () => act('mute', label) }))}
          />
        )}
        {toggle('dismissed', ['Not an anomaly', 'dismiss'], ['Mark as anomaly', 'reinstate'])}
        {mayChange && (
          <>
            <input
              aria-label="Note"
              className={`${FIELD} flex-[1_1_9rem] md:max-w-64`}
              placeholder="Note, optional"
              value={note}
              onChange={({ target }) => setNote(target.value)}
            />
            {user !== null ? (
              <span className="text-label text-muted">as {user.name}</span>
            ) : isNaming ? (
              <input
                ref={field}
                // biome-ignore lint/a11y/noAutofocus: one asked to change it.
                autoFocus={name !== ''}
                aria-label="Your name"
                aria-invalid={isMissing}
                className={`${FIELD} w-32 aria-invalid:border-critical`}
                placeholder="Your name"
                autoComplete="nickname"
                value={name}
                onChange={({ target }) => {
                  setName(target.value);
                  setMissing(false);
                }}
                // The field stays until it was used: what moves under the pointer is not clicked.
                onBlur={() => keepName(name.trim())}
                onKeyDown={event => {
                  if (event.key !== 'Enter' || name.trim() === '') return;
                  keepName(name.trim());
                  setNaming(false);
                }}
              />
            ) : (
              <span className="text-label text-muted">
                as {name}{' '}
                <Button
                  kind="quiet"
                  className="h-6 px-1"
                  aria-label="Change your name"
                  onClick={() => setNaming(true)}
                >
                  change
                </Button>
              </span>
            )}
          </>
        )}
      </div>
      {isMissing && <p role="alert">Enter your name first; others see it with your action.</p>}
      {error !== null && !isPending && variables !== undefined && (
        <p role="alert">
          <span className="text-critical">Not saved. {sentence(error.message)}</span>{' '}
          {error instanceof ApiError && error.hint !== '' && (
            <span className="text-muted">{sentence(error.hint)} </span>
          )}
          <ChangeButton kind="quiet" className="h-6 px-1" onClick={() => mutate(variables)}>
            Try again
          </ChangeButton>
        </p>
      )}
    </div>
  );
}

/** Who said what of it, and when. */
export function SaidFacts({ incident }: { incident: Detected }) {
  const now_ms = useNow(NOW_EVERY_MS);
  const today = useToday();
  return KINDS.map(kind => {
    const said = saidOf(incident, kind, now_ms);
    return (
      said !== null && (
        <Fact key={kind} name={WORDS[kind]}>
          {saidText(kind, said, today)}
        </Fact>
      )
    );
  });
}
