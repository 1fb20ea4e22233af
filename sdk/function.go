package raygo

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	words "github.com/raygo/raygo"
)

// function is a registered function with its types erased.
type function struct {
	name    string // main.square
	full    string // example.com/program.square
	sig     string
	caller  string // file:line of the registration
	params  []*codec
	result  *codec
	yields  bool // a generator
	prepare func(in *inbound) (body, error)
}

// body runs a function whose arguments were decoded.
type body func(ctx context.Context, out *outbound) error

// registry holds the functions of this program.
var registry = struct {
	sync.RWMutex
	byName map[string]*function
}{byName: map[string]*function{}}

func functionNamed(name string) *function {
	registry.RLock()
	defer registry.RUnlock()
	return registry.byName[name]
}

func functionHashes() map[string]string {
	registry.RLock()
	defer registry.RUnlock()
	m := make(map[string]string, len(registry.byName))
	for name, f := range maps.All(registry.byName) {
		m[name] = f.sig
	}
	return m
}

// register names fn, checks its types and options, and enters it. It panics on
// misuse, which is found the first time that the program starts.
func register(fn any, yields bool, result reflect.Type, params []reflect.Type, opts []Option) (*function, *callOptions) {
	f := &function{yields: yields, caller: callerLine()}
	if reflect.ValueOf(fn).IsNil() {
		panic(fmt.Sprintf("raygo: %s: the function is nil", f.caller))
	}
	f.full = runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
	name, err := shortName(f.full)
	if err != nil {
		panic(fmt.Sprintf("raygo: %s: %v", f.caller, err))
	}
	f.name = name
	for i, p := range params {
		if err := checkType(p); err != nil {
			panic(fmt.Sprintf("raygo: %s: argument %d of %s: %v", f.caller, i+1, name, err))
		}
		f.params = append(f.params, codecFor(p))
	}
	if err := checkType(result); err != nil {
		panic(fmt.Sprintf("raygo: %s: result of %s: %v", f.caller, name, err))
	}
	f.result = codecFor(result)
	kind := "func"
	if yields {
		kind = "gen"
	}
	f.sig = signatureOf(kind, append([]reflect.Type{result}, params...)...)
	co := newCallOptions(f, opts)
	if co.err != nil {
		panic(fmt.Sprintf("raygo: %s: %s: %v", f.caller, name, co.err))
	}
	f.enter()
	return f, co
}

// enter adds f to the registry, under its full name if another package has a
// function of the same short one.
func (f *function) enter() {
	registry.Lock()
	defer registry.Unlock()
	have := registry.byName[f.name]
	if have != nil && have.full != f.full {
		f.name = f.full
		have = registry.byName[f.name]
	}
	if have != nil {
		panic(fmt.Sprintf("raygo: %s: %s is registered already, at %s: register it once, in a package-level variable, and use Options for variants", f.caller, f.name, have.caller))
	}
	registry.byName[f.name] = f
}

// shortName turns the linker's name of a function into package.function, and
// refuses what is no function of its own.
func shortName(full string) (string, error) {
	path, last := "", full
	if i := strings.LastIndexByte(full, '/'); i >= 0 {
		path, last = full[:i+1], full[i+1:]
	}
	pkg, rest, ok := strings.Cut(last, ".")
	pkg = strings.ReplaceAll(pkg, "%2e", ".")
	switch {
	case !ok:
		return "", fmt.Errorf("cannot tell the function's name from %q", full)
	case strings.HasSuffix(rest, "-fm"):
		return "", fmt.Errorf("%s%s is a method value: it carries its receiver, which other processes do not have; register a package-level function and pass the receiver as an argument", path, strings.TrimSuffix(last, "-fm"))
	case strings.Contains(rest, "."):
		return "", fmt.Errorf("%s is a function literal, a closure or an instance of a generic function: workers find functions by name, so register a named package-level function and pass what it needs as arguments", full)
	}
	return pkg + "." + rest, nil
}

// callerLine is the line of the program that called into this package.
func callerLine() string {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, sdkPackage+".") || !more {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// sdkPackage is the import path of this package.
var sdkPackage = reflect.TypeFor[Session]().PkgPath()

// callOptions are a function's options as a call uses them.
type callOptions struct {
	f     *function
	words words.Options
	retry []error // of RetryOn; named when they are sent, since init functions may register them later
	err   error   // of .Options; calls fail with it
	class atomic.Pointer[class]
}

// class is what a session's peer knows the options by.
type class struct {
	s  *Session
	id uint32
}
