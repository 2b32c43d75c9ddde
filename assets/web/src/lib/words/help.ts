// English of the area "help"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/help.json';
import { learn } from '../i18n.svelte';

learn('help', words);
