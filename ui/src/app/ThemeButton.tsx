/** Dark, light, or as the system has it. */
import { type Choice, chooseTheme, themeChoice } from '../shared/theme';
import { Button } from '../shared/ui/button';
import { Menu } from '../shared/ui/menu';

const CHOICES: readonly Choice[] = ['system', 'dark', 'light'];

export function ThemeButton() {
  return (
    <Menu
      trigger={
        <Button kind="quiet" title="Theme">
          <span aria-hidden="true">◐</span>
          <span className="sr-only">Theme</span>
        </Button>
      }
      items={CHOICES.map(choice => ({
        label: choice,
        hint: choice === themeChoice() ? 'on' : '',
        onSelect: () => chooseTheme(choice),
      }))}
    />
  );
}
