package raygo

import (
	"fmt"
	"reflect"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// inbound is a task's arguments as they arrived.
type inbound struct {
	r     *running
	exec  *ipc.Execute
	index map[words.ObjectID]*ipc.Value // of exec.Values, when there are many
}

// argument decodes argument i.
func argument[T any](in *inbound, i int) (T, error) {
	var v T
	err := in.into(i, unsafe.Pointer(&v))
	return v, err
}

func (in *inbound) into(i int, p unsafe.Pointer) error {
	c, a := in.r.class.f.params[i], &in.exec.Args.List[i]
	var err error
	switch a.Kind {
	case ipc.ArgInline:
		err = c.decode(p, a.Format, a.Bytes, false)
	case ipc.ArgRef:
		err = in.object(a.Refs[0], c, p)
	case ipc.ArgGather:
		err = in.gather(a.Refs, c, p)
	case ipc.ArgStream:
		err = in.stream(a.Stream, c, p)
	}
	if err != nil {
		return fmt.Errorf("argument %d: %w", i+1, err)
	}
	return nil
}

// valueOf finds the delivered value of an object.
func (in *inbound) valueOf(id words.ObjectID) (*ipc.Value, error) {
	vs := in.exec.Values
	if len(vs) > 8 && in.index == nil {
		in.index = make(map[words.ObjectID]*ipc.Value, len(vs))
		for i := range vs {
			in.index[vs[i].ID] = &vs[i].Value
		}
	}
	if in.index != nil {
		if v := in.index[id]; v != nil {
			return v, nil
		}
	} else {
		for i := range vs {
			if vs[i].ID == id {
				return &vs[i].Value, nil
			}
		}
	}
	return nil, fmt.Errorf("object %s was not delivered", id)
}

// object decodes the value of an object that came with the task.
func (in *inbound) object(id words.ObjectID, c *codec, p unsafe.Pointer) error {
	v, err := in.valueOf(id)
	if err != nil {
		return err
	}
	switch v.Kind {
	case ipc.ValueInline:
		return c.decode(p, v.Format, v.Bytes, false)
	case ipc.ValueStored:
		return in.stored(v, c, p)
	case ipc.ValueFailed:
		return outcomeOf(v).failure(id)
	case ipc.ValueComposite:
		return c.eachPart(int(v.Parts), p, func(i int, pc *codec, pp unsafe.Pointer) error {
			return in.object(id.Task().Object(uint32(i+1)), pc, pp)
		})
	default:
		return fmt.Errorf("object %s was delivered as a value of kind %d", id, v.Kind)
	}
}

// stored reads a value that lies in the arena; plain memory is mapped, and is
// valid until the task ends.
func (in *inbound) stored(v *ipc.Value, c *codec, p unsafe.Pointer) error {
	s := in.r.w.s
	st := &stored{offset: v.Offset, size: v.Size}
	if v.Format != ipc.FormatRaw || c.raw == 0 {
		return s.copyOut(&outcome{format: v.Format, stored: st}, c, p)
	}
	b, err := s.arena.view(st)
	if err != nil {
		return err
	}
	in.r.maps = append(in.r.maps, b)
	return c.decode(p, v.Format, b, true)
}

// gather decodes the values of many objects into one slice.
func (in *inbound) gather(ids []words.ObjectID, c *codec, p unsafe.Pointer) error {
	if c.typ.Kind() != reflect.Slice {
		return fmt.Errorf("many values for a %s", c.typ)
	}
	elem := codecFor(c.typ.Elem())
	reflect.NewAt(c.typ, p).Elem().Set(reflect.MakeSlice(c.typ, len(ids), len(ids)))
	data := (*sliceHeader)(p).data
	for i, id := range ids {
		if err := in.object(id, elem, unsafe.Add(data, uintptr(i)*elem.size)); err != nil {
			return err
		}
	}
	return nil
}

// eachPart visits the n parts of a composite value at p: the fields of a tuple,
// or the elements of a slice, which it makes.
func (c *codec) eachPart(n int, p unsafe.Pointer, visit func(i int, c *codec, p unsafe.Pointer) error) error {
	if len(c.parts) > 0 {
		if n != len(c.parts) {
			return &CountMismatchError{Want: len(c.parts), Got: n}
		}
		for i, pt := range c.parts {
			if err := visit(i, pt.codec, unsafe.Add(p, pt.offset)); err != nil {
				return err
			}
		}
		return nil
	}
	if c.typ.Kind() != reflect.Slice {
		return fmt.Errorf("a value of %d parts for a %s", n, c.typ)
	}
	elem := codecFor(c.typ.Elem())
	reflect.NewAt(c.typ, p).Elem().Set(reflect.MakeSlice(c.typ, n, n))
	data := (*sliceHeader)(p).data
	for i := range n {
		if err := visit(i, elem, unsafe.Add(data, uintptr(i)*elem.size)); err != nil {
			return err
		}
	}
	return nil
}
