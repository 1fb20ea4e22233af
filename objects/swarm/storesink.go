package swarm

import (
	"context"
	"errors"
	"fmt"

	"github.com/raygo/raygo"
	"github.com/raygo/raygo/objects"
)

type storeSink struct {
	store *objects.Store
	id    raygo.ObjectID
}

func (k *storeSink) Open(ctx context.Context, size uint64) error {
	_, err := k.store.Alloc(ctx, k.id, size)
	if !errors.Is(err, objects.ErrExists) {
		return err
	}
	info, ok := k.store.Info(k.id)
	switch {
	case !ok || info.State == objects.Writing:
		return err
	case info.Size != size:
		return fmt.Errorf("object %s is here with %d bytes, wanted %d: %w", k.id, info.Size, size, objects.ErrExists)
	}
	return ErrPresent
}

func (k *storeSink) WriteAt(p []byte, off int64) (int, error) {
	return k.store.WriteUnsealed(k.id, p, off)
}

func (k *storeSink) ReadAt(p []byte, off int64) (int, error) {
	return k.store.ReadUnsealed(k.id, p, off)
}

func (k *storeSink) Commit(m objects.Manifest, pins int) error {
	return k.store.SealCopy(k.id, m, pins)
}

func (k *storeSink) Abort() { k.store.Abort(k.id) }

func (k *storeSink) pin(ctx context.Context) error {
	_, err := k.store.Pin(ctx, []raygo.ObjectID{k.id})
	return err
}

func (k *storeSink) unpin() { k.store.Unpin(k.id) }
