package raygo

import (
	"context"
	"errors"
	"unsafe"
)

// Arg is an argument of type T of RemoteArgs: a Ref[T], whose value the function
// gets; Val(v); All(refs) for a slice; or a *Stream.
type Arg[T any] interface {
	argOf(T) // makes the compiler match the types
	add(c *call)
}

func (r Ref[T]) argOf(T)     {}
func (r Ref[T]) add(c *call) { c.ref(r.h) }

type valArg[T any] struct{ v *T }

func (a valArg[T]) argOf(T)     {}
func (a valArg[T]) add(c *call) { c.value(unsafe.Pointer(a.v)) }

// Val makes an argument of a plain value.
func Val[T any](v T) Arg[T] { return valArg[T]{&v} }

type allArg[T any] struct{ refs []Ref[T] }

func (a allArg[T]) argOf([]T) {}
func (a allArg[T]) add(c *call) {
	c.gather(len(a.refs), func(i int) *handle { return a.refs[i].h })
}

// All makes an argument that is the slice of the values of refs. The task runs
// when all of them are ready.
func All[T any](refs []Ref[T]) Arg[[]T] { return allArg[T]{refs} }

func addArg[T any](c *call, a Arg[T]) {
	if a == nil {
		if c.err == nil {
			c.fail(errNilArg)
		}
		return
	}
	a.add(c)
}

func addValue[T any](c *call, v T) { c.value(unsafe.Pointer(&v)) }

// Map calls t once for each input and gives the refs in the order of inputs.
func Map[A, R any](ctx context.Context, t *Task1[A, R], inputs []A) []Ref[R] {
	refs := make([]Ref[R], len(inputs))
	for i := range inputs {
		refs[i] = t.Remote(ctx, inputs[i])
	}
	return refs
}

var errNilArg = errors.New("an argument is nil: pass a Ref, Val(v), All(refs) or a stream")
