/** Rows of `setting` that say what a store is beside a store. Both engines look at them when a store is opened. */
import { StoreError } from '#store/store.ts';

/** A copy into this store is not finished: the value is how far it came. */
export const COPY_MARK = 'copy';
/** This file is a backup: the value is what it must hold. It goes as soon as the file is used as a store. */
export const BACKUP_MARK = 'backup';

/** For who opens a store that has the mark of a copy. */
export function unfinishedCopy(place: string, mark: string): StoreError {
  const { from } = JSON.parse(mark) as { readonly from: string };
  return new StoreError(
    'busy',
    `${place} holds an unfinished copy of ${from}; run the same "postrider store copy" or "postrider restore" again to finish it`,
  );
}
