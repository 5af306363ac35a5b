/** Who uses this browser, as they call themselves: what they do to incidents is told to others under this name. */
const KEY = 'tidelake.name';

export function nameKept(): string {
  return localStorage.getItem(KEY) ?? '';
}

export function keepName(name: string): void {
  if (name === '') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, name);
}
