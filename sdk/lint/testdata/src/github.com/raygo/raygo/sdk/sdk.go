// Package raygo has the shapes of the SDK that the checks look at.
package raygo

import "context"

type Ref[T any] struct{}

type Task1[A, R any] struct{}

func Func1[A, R any](fn func(context.Context, A) (R, error)) *Task1[A, R] { return nil }

func (t *Task1[A, R]) Remote(ctx context.Context, a A) Ref[R] { return Ref[R]{} }

func Get[T any](ctx context.Context, r Ref[T]) (T, error) { panic("") }

func GetAll[T any](ctx context.Context, r []Ref[T]) ([]T, error) { panic("") }
