/**
 * Which theme is on: the system's, unless the person chose. The choice stays in this browser.
 */
import { useSyncExternalStore } from 'react';
import { PALETTES, type Palette, type Theme, variablesOf } from './palette';

export type Choice = 'system' | Theme;

const KEY = 'tidelake.theme';
const readers = new Set<() => void>();
const systemDark = () => window.matchMedia('(prefers-color-scheme: dark)');

export function startTheme(): void {
  systemDark().addEventListener('change', apply);
  apply();
}

export function chooseTheme(choice: Choice): void {
  if (choice === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  apply();
}

export function themeChoice(): Choice {
  const kept = localStorage.getItem(KEY);
  return kept === 'dark' || kept === 'light' ? kept : 'system';
}

/** The palette in use; a component that asks is drawn again when it changes. */
export function usePalette(): Palette {
  return PALETTES[useTheme()];
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    reader => {
      readers.add(reader);
      return () => readers.delete(reader);
    },
    () => current,
  );
}

let current: Theme = 'dark';

function apply(): void {
  const choice = themeChoice();
  current = choice === 'system' ? (systemDark().matches ? 'dark' : 'light') : choice;
  const { style } = document.documentElement;
  for (const [name, value] of Object.entries(variablesOf(PALETTES[current]))) style.setProperty(name, value);
  style.colorScheme = current;
  document.documentElement.dataset.theme = current;
  for (const reader of readers) reader();
}
