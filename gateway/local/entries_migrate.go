package local

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// migrateStep is how many addresses one transaction brings to their new keys.
const migrateStep = 1000

// migrateEntries brings entries that an earlier version kept under the text of
// their address to its hash. It may be interrupted anywhere.
func migrateEntries(x *index) error {
	for more := true; more; {
		err := x.update(func(tx *bbolt.Tx) (err error) {
			more, err = migrateSome(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("moving suppression entries to their new keys: %w", err)
		}
	}
	return nil
}

// migrateSome reports whether there is more to do.
func migrateSome(tx *bbolt.Tx) (bool, error) {
	old := tx.Bucket(bucketEntryText)
	if old == nil {
		return false, nil
	}
	next := tx.Bucket(bucketEntries)
	var moved [][]byte
	c := old.Cursor()
	for k, v := c.First(); k != nil && len(moved) < migrateStep; k, v = c.Next() {
		h := hashText(string(k))
		value := append(slices.Clone(next.Get(h[:])), v...) // of another address with this hash, if any
		if err := next.Put(h[:], value); err != nil {
			return false, err
		}
		moved = append(moved, slices.Clone(k))
	}
	var errs []error
	for _, k := range moved {
		errs = append(errs, old.Delete(k))
	}
	if len(moved) < migrateStep {
		errs = append(errs, tx.DeleteBucket(bucketEntryText), tx.Bucket(bucketMeta).Delete(metaTally))
	}
	return len(moved) == migrateStep, errors.Join(errs...)
}
