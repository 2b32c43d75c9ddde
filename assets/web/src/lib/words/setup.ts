// English of the area "setup"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/setup.json';
import { learn } from '../i18n.svelte';

learn('setup', words);
