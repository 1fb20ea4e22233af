package launch

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	raygo "github.com/raygo/raygo"
)

// Tier says how far workers are isolated.
type Tier string

// The tiers, strongest first.
const (
	TierPIDNS        Tier = "pidns"
	TierLandlock     Tier = "landlock"
	TierProcessGroup Tier = "process-group"
)

// rank orders tiers: the higher the stronger, 0 for an unknown one.
func (t Tier) rank() int {
	switch t {
	case TierPIDNS:
		return 3
	case TierLandlock:
		return 2
	case TierProcessGroup:
		return 1
	}
	return 0
}

// ErrStopped is wrapped by Start when the launcher has ended or is ending.
var ErrStopped = errors.New("the launcher has stopped")

// Limits of what is kept of a worker's output.
const (
	// MaxLine is the longest line that is passed on in one piece; longer ones
	// are split.
	MaxLine = 64 << 10
	// TailLines and TailBytes bound Exit.StderrTail.
	TailLines = 20
	TailBytes = 8 << 10
	// MaxLog bounds the log files of one worker and stream: two halves, of which
	// the older is dropped.
	MaxLog = 16 << 20
	// MaxLogFiles bounds the files in Config.LogDir; the oldest go first.
	MaxLogFiles = 512
)

// Config says where workers live and how far they are isolated.
type Config struct {
	// TempDir is where the launcher makes its own directory, with one per worker
	// in it (the worker's TMPDIR). Default: os.TempDir().
	TempDir string
	// LogDir takes each worker's output, made when missing. "" keeps none.
	LogDir string
	// Hide lists directories that workers must not see, such as the peer's keys.
	// With CAP_SYS_ADMIN they are empty for workers. Without it see Strict.
	Hide []string
	// Strict hides the directories with Landlock where mounts cannot. Landlock
	// only knows what is allowed, so files and directories that come into being
	// next to the hidden ones or their parents after Run began are closed to
	// workers as well. Off by default for that reason.
	Strict bool
	// MaxTier is the strongest tier to use. Default: TierLandlock. TierPIDNS is
	// stronger, but a program sees other process IDs there than its machine does:
	// os.Getpid is 1 in every worker, and a worker cannot kill itself.
	MaxTier Tier
	// DataLimit bounds a worker's private memory (RLIMIT_DATA) in bytes; 0 does
	// not bound it.
	DataLimit int64
	// HasGPUs says that the machine has GPUs: workers that asked for none then
	// get an empty CUDA_VISIBLE_DEVICES.
	HasGPUs bool
	// Logger takes what the launcher has to say. Default: discard.
	Logger *slog.Logger
}

func (c *Config) complete() error {
	if c.TempDir == "" {
		c.TempDir = os.TempDir()
	}
	if c.MaxTier == "" {
		c.MaxTier = TierLandlock
	}
	if c.MaxTier.rank() == 0 {
		return fmt.Errorf("launch: no such tier %q: want %s, %s or %s", c.MaxTier, TierPIDNS, TierLandlock, TierProcessGroup)
	}
	if c.DataLimit < 0 {
		return fmt.Errorf("launch: data limit %d is negative", c.DataLimit)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Spec describes one worker.
type Spec struct {
	// Program is what to run. Start keeps a reference of its own.
	Program *Program
	// Job is the job the worker belongs to; it names the log files.
	Job raygo.JobID
	// Env is set on top of the scrubbed environment.
	Env map[string]string
	// GPUIDs become CUDA_VISIBLE_DEVICES.
	GPUIDs []string
	// Dir is the working directory. Default: the worker's temporary directory.
	Dir string
	// Args follow the program's name.
	Args []string
	// Name is the worker's argv[0]. Default: the program's path.
	Name string
	// Output is called for each line that the worker writes, without its end,
	// one call at a time per stream. It must not keep line.
	Output func(stderr bool, line []byte)
}

// Exit says how a process ended.
type Exit struct {
	// Code is the exit code; -1 when a signal ended the process.
	Code int
	// Signal is the signal's name, "" when the process exited by itself.
	Signal string
	// StderrTail is the end of what it wrote to standard error.
	StderrTail []string
}

// String is "exit code 3" or "signal killed".
func (e Exit) String() string {
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	return fmt.Sprintf("exit code %d", e.Code)
}
