// The commands that hold everywhere: the main places, what can be begun from anywhere, the light, and the way out.

import type { Command } from '../lib/commands.svelte';
import { t } from '../lib/i18n.svelte';
import '../lib/words/help';
import { place } from '../state/place.svelte';
import { session } from '../state/session.svelte';
import { settings } from '../state/settings.svelte';
import { attempt } from '../state/toast.svelte';
import { mainPlaces } from './places';

export function houseCommands(showHelp: () => void): Command[] {
  const go = mainPlaces().map((row): Command => ({ id: `go:${row.path}`, title: t(row.label), about: t('help.a_page'), icon: row.icon, run: () => place.go(row.path) }));
  const isLight = settings.shown === 'light';
  return [
    ...go,
    { id: 'new-character', title: t('help.new_character'), icon: 'plus', run: () => place.go('/character/new') },
    {
      id: 'theme',
      title: isLight ? t('help.to_dark') : t('help.to_light'),
      icon: 'moon',
      run: () => attempt(() => settings.change({ theme: isLight ? 'dark' : 'light' })),
    },
    { id: 'help', title: t('help.show_help'), icon: 'keyboard', combo: 'help', run: showHelp },
    { id: 'sign-out', title: t('help.sign_out'), icon: 'out', run: () => attempt(() => session.signOut()) },
  ];
}
