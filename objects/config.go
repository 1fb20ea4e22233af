package objects

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
	"golang.org/x/sys/unix"
)

// Config says how much a Store may hold and where it puts what does not fit.
// The zero value is usable: 30 % of memory, no spilling.
type Config struct {
	// Limit is how many bytes of memory the arenas of all jobs may hold.
	// Default: 30 % of this machine's memory.
	Limit int64
	// SpillDir is an existing directory that takes objects for which memory has
	// no room. Several peers may share it. Empty turns spilling off.
	SpillDir string
	// DiskHigh is the share of the spill disk above which nothing more is
	// written to it. Default: 0.95.
	DiskHigh float64
	// PutWait is how long an Alloc may wait for room before ErrStoreFull.
	// Default: 30 s.
	PutWait time.Duration
	// FuseBytes is the size from which on a spill file takes no more objects, so
	// that many small objects do not become many small files. Default: 100 MiB.
	FuseBytes int64
	// HashWorkers is how many objects are hashed at a time behind their Seal.
	// Default: one less than GOMAXPROCS, at least one, so that hashing leaves the
	// peer a processor to answer with. Negative: objects are hashed on demand only.
	HashWorkers int
	// IOWorkers is how many spills and restores go on at a time. Default: 2.
	IOWorkers int
	// MaxWaiting bounds the calls that wait for room, Allocs and Pins each.
	// Default: 10,000.
	MaxWaiting int
	// Idle is how long retained memory is kept that nobody needed. Default: 10 s.
	Idle time.Duration
	// ArenaSize is the length of a job's sparse arena. Default: 1 TiB.
	ArenaSize uint64
	// Dropped, if set, is told which objects of MarkCopy went to make room. It is
	// called by an I/O worker and must not block for long.
	Dropped func([]raygo.ObjectID)
	// Named, if set, is told the CID of each object that was hashed behind its
	// Seal. It is called by a hash worker and must not block for long.
	Named func(raygo.ObjectID, cid.Cid)
	// Logger gets what nobody else is told. Default: slog.Default().
	Logger *slog.Logger

	storage storage // tests put failing storage here
}

const (
	defaultArenaSize = 1 << 40
	defaultFuse      = 100 << 20
	hashQueueLen     = 4096
)

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Limit < 0:
		return fmt.Errorf("object store limit %d is negative", c.Limit)
	case c.Limit > 0 && c.Limit < pageSize:
		return fmt.Errorf("object store limit %d is less than a page (%d)", c.Limit, pageSize)
	case c.DiskHigh < 0 || c.DiskHigh > 1:
		return fmt.Errorf("spill disk share %v is not between 0 and 1", c.DiskHigh)
	case c.PutWait < 0:
		return fmt.Errorf("put wait %v is negative", c.PutWait)
	case c.FuseBytes < 0:
		return fmt.Errorf("spill file size %d is negative", c.FuseBytes)
	case c.IOWorkers < 0:
		return fmt.Errorf("number of spill workers %d is negative", c.IOWorkers)
	case c.MaxWaiting < 0:
		return fmt.Errorf("number of waiting calls %d is negative", c.MaxWaiting)
	case c.Idle < 0:
		return fmt.Errorf("idle time %v is negative", c.Idle)
	case c.ArenaSize%pageSize != 0 || c.ArenaSize > 1<<46:
		return fmt.Errorf("arena size %d is not a number of pages up to 2^46 bytes", c.ArenaSize)
	case c.SpillDir == "":
		return nil
	}
	return checkSpillDir(c.SpillDir)
}

func checkSpillDir(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("spill directory %s does not exist", dir)
	case err != nil:
		return fmt.Errorf("spill directory: %w", err)
	case !st.IsDir():
		return fmt.Errorf("spill directory %s is not a directory", dir)
	}
	f, err := os.CreateTemp(dir, ".raygo-write-check-*")
	if err != nil {
		return fmt.Errorf("spill directory %s is not writable: %w", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (c Config) withDefaults() (Config, error) {
	if c.Limit == 0 {
		var si unix.Sysinfo_t
		if err := unix.Sysinfo(&si); err != nil {
			return c, fmt.Errorf("find the size of memory: %w", err)
		}
		c.Limit = int64(float64(si.Totalram) * float64(si.Unit) * 0.3)
	}
	c.Limit = c.Limit / pageSize * pageSize
	setDefault(&c.DiskHigh, 0.95)
	setDefault(&c.PutWait, 30*time.Second)
	setDefault(&c.FuseBytes, defaultFuse)
	setDefault(&c.HashWorkers, max(1, runtime.GOMAXPROCS(0)-1))
	setDefault(&c.IOWorkers, 2)
	setDefault(&c.MaxWaiting, 10_000)
	setDefault(&c.Idle, 10*time.Second)
	setDefault(&c.ArenaSize, defaultArenaSize)
	setDefault(&c.Logger, slog.Default())
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
