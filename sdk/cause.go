package raygo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"sync"

	words "github.com/raygo/raygo"
)

var contextDeadline = context.DeadlineExceeded

// causeKind is one registered error: a sentinel, or a type.
type causeKind struct {
	name     string
	sentinel error
	typ      reflect.Type
}

// causes is the table of errors that keep their identity across processes. It
// is filled by package-level variables and init functions, read by tasks.
var causes = struct {
	sync.RWMutex
	byName map[string]*causeKind
	list   []*causeKind
}{byName: map[string]*causeKind{}}

func init() {
	for name, err := range map[string]error{
		"io.EOF": io.EOF, "io.ErrUnexpectedEOF": io.ErrUnexpectedEOF,
		"fs.ErrNotExist": fs.ErrNotExist, "fs.ErrExist": fs.ErrExist, "fs.ErrPermission": fs.ErrPermission,
		"context.Canceled": context.Canceled, "context.DeadlineExceeded": context.DeadlineExceeded,
		"errors.ErrUnsupported": errors.ErrUnsupported,
		"raygo.ErrNoSession":    ErrNoSession, "raygo.ErrTaskCancelled": ErrTaskCancelled,
		"raygo.ErrGetTimeout": ErrGetTimeout, "raygo.ErrTaskTimeout": ErrTaskTimeout,
		"raygo.ErrUnschedulable": ErrUnschedulable, "raygo.ErrWorkerCrashed": ErrWorkerCrashed,
		"raygo.ErrPeerDied": ErrPeerDied, "raygo.ErrOwnerDied": ErrOwnerDied,
		"raygo.ErrObjectLost": ErrObjectLost, "raygo.ErrObjectFreed": ErrObjectFreed,
		"raygo.ErrOutOfMemory": ErrOutOfMemory, "raygo.ErrStoreFull": ErrStoreFull,
		"raygo.ErrOutOfDisk": ErrOutOfDisk, "raygo.ErrSetup": ErrSetup,
		"raygo.ErrRefused": ErrRefused, "raygo.ErrSessionClosed": ErrSessionClosed,
	} {
		_ = RegisterSentinel(name, err)
	}
	RegisterError[*CountMismatchError]()
}

// RegisterSentinel makes err keep its identity across processes: errors.Is on
// the error that Get returns finds it when the function's error wrapped it. The
// name must be unique; call it from a package-level variable or init. Common
// sentinels of io, io/fs and context are registered already.
func RegisterSentinel(name string, err error) error {
	registerCause(&causeKind{name: name, sentinel: err})
	return err
}

// RegisterError makes errors of type E keep their type and exported fields
// across processes: errors.As on the error that Get returns finds one when the
// function's error wrapped it.
func RegisterError[E error]() {
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("raygo: RegisterError[%s]: want a concrete error type, not an interface", t))
	}
	if err := checkType(t); err != nil {
		panic(fmt.Sprintf("raygo: RegisterError[%s]: %v", t, err))
	}
	registerCause(&causeKind{name: typeName(t), typ: t})
}

func registerCause(k *causeKind) {
	causes.Lock()
	defer causes.Unlock()
	if have := causes.byName[k.name]; have != nil {
		if have.typ == k.typ && have.sentinel == k.sentinel {
			return
		}
		panic(fmt.Sprintf("raygo: two errors are registered as %q", k.name))
	}
	causes.byName[k.name] = k
	causes.list = append(causes.list, k)
}

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return "*" + typeName(t.Elem())
	}
	return t.PkgPath() + "." + t.Name()
}

// causeNames gives the registered names of errs, for RetryOn.
func causeNames(errs []error) ([]string, error) {
	causes.RLock()
	defer causes.RUnlock()
	var names []string
	for _, err := range errs {
		k := matchCause(err)
		if k == nil {
			return nil, fmt.Errorf("RetryOn: %T (%v) is not registered: call raygo.RegisterSentinel or raygo.RegisterError for it first", err, err)
		}
		names = append(names, k.name)
	}
	return names, nil
}

// matchCause finds the registration of exactly err; causes is locked.
func matchCause(err error) *causeKind {
	if err == nil {
		return nil
	}
	t := reflect.TypeOf(err)
	for _, k := range causes.list {
		if k.typ == t || k.sentinel != nil && t.Comparable() && k.sentinel == err {
			return k
		}
	}
	return nil
}

// causesIn walks err's tree and encodes the registered errors in it, outermost
// first.
func causesIn(err error) []words.Cause {
	causes.RLock()
	defer causes.RUnlock()
	var out []words.Cause
	walkErrors(err, 0, func(e error) {
		if te, ok := e.(*TaskError); ok {
			out = append(out, te.failures...)
			return
		}
		k := matchCause(e)
		if k == nil {
			return
		}
		c := words.Cause{Name: k.name, Text: e.Error()}
		if k.typ != nil {
			if b, encErr := encMode.Marshal(e); encErr == nil {
				c.Value = b
			}
		}
		out = append(out, c)
	})
	return out
}

func walkErrors(err error, depth int, visit func(error)) {
	if err == nil || depth > 100 {
		return
	}
	visit(err)
	switch u := err.(type) {
	case *TaskError: // its causes were visited with it
	case interface{ Unwrap() error }:
		walkErrors(u.Unwrap(), depth+1, visit)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			walkErrors(e, depth+1, visit)
		}
	}
}

// causesOf makes errors of what causesIn encoded.
func causesOf(cs []words.Cause) []error {
	causes.RLock()
	defer causes.RUnlock()
	var out []error
	for _, c := range cs {
		k := causes.byName[c.Name]
		switch {
		case k == nil:
		case k.sentinel != nil:
			out = append(out, k.sentinel)
		default:
			p := reflect.New(k.typ)
			if err := decMode.Unmarshal(c.Value, p.Interface()); err == nil {
				if e, ok := p.Elem().Interface().(error); ok {
					out = append(out, e)
				}
			}
		}
	}
	return out
}
