// English of the area "profile"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/profile.json';
import { learn } from '../i18n.svelte';

learn('profile', words);
