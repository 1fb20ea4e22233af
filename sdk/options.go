package raygo

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	words "github.com/raygo/raygo"
)

// Option is an option of a task. A bad one is a panic where the function is
// registered, and the error of the ref where it is given to Options.
type Option func(*settings) error

type settings struct {
	words words.Options
	f     *function
	retry []error
}

func newCallOptions(f *function, opts []Option) *callOptions {
	base := words.DefaultOptions()
	base.Generator = f.yields
	if f.yields {
		base.BackpressureItems, base.BackpressureBytes = words.DefaultBackpressureItems, words.DefaultBackpressureBytes
	}
	if n := len(f.result.parts); n > 0 && !f.yields {
		base.NumReturns = n
	}
	return (&callOptions{f: f, words: base}).with(opts)
}

// with gives a copy with opts applied.
func (co *callOptions) with(opts []Option) *callOptions {
	st := settings{words: co.words, f: co.f, retry: co.retry}
	out := &callOptions{f: co.f, err: co.err}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(&st); err != nil && out.err == nil {
			out.err = fmt.Errorf("option: %w", err)
		}
	}
	out.words, out.retry = st.words, st.retry
	return out
}

func quantity(name string, v float64, into *words.Quantity) error {
	q, err := words.QuantityOf(v)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*into = q
	return nil
}

// NumCPUs is how many CPUs the task takes; 1 unless set. 0 is allowed.
func NumCPUs(n float64) Option {
	return func(s *settings) error { return quantity("NumCPUs", n, &s.words.CPU) }
}

// NumGPUs is how many GPUs the task takes: a fraction of one, or whole ones.
func NumGPUs(n float64) Option {
	return func(s *settings) error {
		if n > 1 && n != math.Trunc(n) {
			return fmt.Errorf("NumGPUs: %v: above 1 only whole GPUs can be asked for", n)
		}
		return quantity("NumGPUs", n, &s.words.GPU)
	}
}

// Memory is how much memory the task is expected to use, for admission only.
func Memory(bytes int64) Option {
	return func(s *settings) error {
		if bytes < 0 {
			return fmt.Errorf("Memory: %d bytes is negative", bytes)
		}
		s.words.Memory = bytes
		return nil
	}
}

// Resource is how much of a custom resource the task takes.
func Resource(name string, qty float64) Option {
	return func(s *settings) error {
		switch {
		case name == "":
			return errors.New("Resource: the name is empty")
		case strings.EqualFold(name, words.CPU), strings.EqualFold(name, words.GPU), strings.EqualFold(name, words.Memory):
			return fmt.Errorf("Resource: %q has an option of its own: use NumCPUs, NumGPUs or Memory", name)
		}
		var q words.Quantity
		if err := quantity("Resource "+name, qty, &q); err != nil {
			return err
		}
		custom := map[string]words.Quantity{name: q}
		for k, v := range s.words.Custom {
			if k != name {
				custom[k] = v
			}
		}
		if q == 0 {
			delete(custom, name)
		}
		if len(custom) > words.MaxCustom {
			return fmt.Errorf("Resource: a task can ask for at most %d custom resources", words.MaxCustom)
		}
		s.words.Custom = custom
		return nil
	}
}

// MaxRetries is how often a task is tried again after a failure of the system,
// or of its own with RetryExceptions or RetryOn; 3 unless set, -1 without end.
func MaxRetries(n int) Option {
	return func(s *settings) error {
		if n < -1 {
			return fmt.Errorf("MaxRetries: %d: want -1 (without end), 0 or more", n)
		}
		s.words.MaxRetries = n
		return nil
	}
}

// RetryExceptions has the task tried again after its own failures too.
func RetryExceptions(on bool) Option {
	return func(s *settings) error {
		s.words.RetryExceptions, s.retry = on, nil
		return nil
	}
}

// RetryOn has the task tried again when its error is or wraps one of errs: a
// registered sentinel, or any value of a registered type.
func RetryOn(errs ...error) Option {
	return func(s *settings) error {
		if slices.Contains(errs, nil) {
			return errors.New("RetryOn: a nil error is none to try again on")
		}
		s.words.RetryExceptions, s.retry = false, errs
		return nil
	}
}

// RetryBackoff is the pause before a retry: base at first, doubled each time up
// to most.
func RetryBackoff(base, most time.Duration) Option {
	return func(s *settings) error {
		if base < 0 || most < base {
			return fmt.Errorf("RetryBackoff: %s to %s: want 0 <= base <= max", base, most)
		}
		s.words.RetryBase, s.words.RetryMax = base, most
		return nil
	}
}

// Timeout is how long one attempt may run.
func Timeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("Timeout: %s is negative", d)
		}
		s.words.Timeout = d
		return nil
	}
}

// PendingTimeout is how long the task may wait for a place.
func PendingTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("PendingTimeout: %s is negative", d)
		}
		s.words.PendingTimeout = d
		return nil
	}
}

// Priority orders the waiting tasks of a job; higher goes first.
func Priority(n int) Option {
	return func(s *settings) error { s.words.Priority = n; return nil }
}

// NumReturns declares how many values the task returns, in a slice; each is an
// object of its own (see Unpack), also a single one. 0 keeps no result. On a
// generator it fixes the number of items, which become ready together at the end.
func NumReturns(n int) Option {
	return func(s *settings) error {
		switch {
		case n < 0 || n > words.MaxReturns:
			return fmt.Errorf("NumReturns: %d: want 0 to %d", n, words.MaxReturns)
		case s.f.yields:
			s.words.NumReturns, s.words.FixedYields = n, true
			return nil
		case len(s.f.result.parts) > 0:
			if n != len(s.f.result.parts) {
				return fmt.Errorf("NumReturns: %d: %s returns a %s", n, s.f.name, s.f.result.typ)
			}
		case n > 1 && s.f.result.typ.Kind() != reflect.Slice:
			return fmt.Errorf("NumReturns: %d: %s returns a %s, not a slice of so many values", n, s.f.name, s.f.result.typ)
		}
		s.words.NumReturns = n
		s.words.OnePart = n == 1 && s.f.result.typ.Kind() == reflect.Slice
		return nil
	}
}

// Backpressure bounds what a generator may be ahead of its consumer: items and
// bytes that nobody took. 64 items and 16 MiB unless set.
func Backpressure(items int, bytes int64) Option {
	return func(s *settings) error {
		switch {
		case !s.f.yields:
			return fmt.Errorf("Backpressure: %s is not a generator", s.f.name)
		case items < 1 || bytes < 1:
			return fmt.Errorf("Backpressure: %d items and %d bytes: want at least 1 of each, or nothing could be yielded", items, bytes)
		}
		s.words.BackpressureItems, s.words.BackpressureBytes = items, bytes
		return nil
	}
}

// EnableTaskEvents says whether the task leaves events; true unless set. Tasks
// that it submits do not inherit it.
func EnableTaskEvents(on bool) Option {
	return func(s *settings) error { s.words.NoEvents = !on; return nil }
}

// Name is what is shown for the task instead of the function's own name.
func Name(name string) Option {
	return func(s *settings) error { s.words.Name = name; return nil }
}

// Env sets environment variables of the task. Workers are not shared between
// tasks whose environments differ.
func Env(vars map[string]string) Option {
	return func(s *settings) error {
		env := make(map[string]string, len(vars))
		for k, v := range vars {
			if k == "" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
				return fmt.Errorf("Env: %q=%q is no environment variable", k, v)
			}
			env[k] = v
		}
		s.words.Env = env
		return nil
	}
}

// MaxCalls replaces a worker after it ran the function so many times; 0, the
// default, never.
func MaxCalls(n int) Option {
	return func(s *settings) error {
		if n < 0 {
			return fmt.Errorf("MaxCalls: %d is negative", n)
		}
		s.words.MaxCalls = n
		return nil
	}
}

// Memoize declares the function pure: a call with the same arguments may be
// answered with an earlier result.
func Memoize() Option {
	return func(s *settings) error {
		if s.f.yields {
			return errors.New("Memoize: a generator cannot be memoized")
		}
		s.words.Memoize = true
		return nil
	}
}
