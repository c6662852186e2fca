package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// caseLock is the writers' lock of a case.
type caseLock struct{ f *flock.Flock }

// ErrLocked is wrapped where another process writes to the case.
var ErrLocked = errors.New("another process writes to this case")

// acquire takes the writers' lock. It does not wait. The lock goes with the
// process that holds it, however that ends.
func (c *Case) acquire() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock != nil {
		return fmt.Errorf("%s: %w", c.dir, ErrLocked)
	}
	f := flock.New(filepath.Join(c.dir, "lock"), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return fmt.Errorf("lock case: %w", err)
	}
	if !ok {
		return fmt.Errorf("%s: %w", c.dir, ErrLocked)
	}
	c.lock = &caseLock{f}
	return nil
}

func (c *Case) unlock() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	f := c.lock.f
	c.lock = nil
	if err := f.Unlock(); err != nil {
		return fmt.Errorf("unlock case: %w", err)
	}
	return nil
}

// readersFile is what readers hold a shared lock on.
const readersFile = "readers"

// beginReading keeps the files of the present snapshot from being removed, as long as
// the case is open. It waits for a writer that is removing others.
func (c *Case) beginReading() {
	f := flock.New(filepath.Join(c.dir, readersFile), flock.SetFlag(os.O_RDONLY))
	if f.RLock() == nil {
		c.reading = f
	}
}

func (c *Case) endReading() {
	if c.reading != nil {
		c.reading.Unlock()
		c.reading = nil
	}
}

// alone calls f if no other case is open on the folder, here or elsewhere; the
// caller is the writer.
func (c *Case) alone(f func() error) error {
	c.endReading()
	defer c.beginReading()
	l := flock.New(filepath.Join(c.dir, readersFile), flock.SetFlag(os.O_RDONLY))
	if ok, err := l.TryLock(); !ok || err != nil {
		return nil
	}
	defer l.Unlock()
	return f()
}

// syncDir makes names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}
