package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// The floors of what peers do with each other are bare libp2p streams between
// two processes, over the transport that peers use: TCP, TLS 1.3, yamux.
const (
	echoProtocol protocol.ID = "/raygo-bench/echo/1" // frames of a length and so many bytes come back
	copyProtocol protocol.ID = "/raygo-bench/copy/1" // a length is asked for, so many bytes come
	copyChunk                = 256 << 10

	// echoAhead bounds the bytes under way of an echo. The other end answers what it
	// has read before it reads on: with more under way than a stream takes without a
	// reader, 256 KiB at first, both ends could wait to be read.
	echoAhead = 192 << 10
)

// bareHost is libp2p with nothing of raygo's.
func bareHost(listen ...string) (host.Host, error) {
	opts := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
	}
	if len(listen) == 0 {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrStrings(listen...))
	}
	return libp2p.New(opts...)
}

// serveStreams is the process at the other end of the floors.
func serveStreams() error {
	h, err := bareHost("/ip4/127.0.0.1/tcp/0")
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetStreamHandler(echoProtocol, func(s network.Stream) { endStream(s, echoStream(s)) })
	h.SetStreamHandler(copyProtocol, func(s network.Stream) { endStream(s, sendCopy(s)) })
	fmt.Fprintf(os.Stdout, "%s/p2p/%s\n", h.Addrs()[0], h.ID())
	<-untilStdinEnds().Done()
	return nil
}

func endStream(s network.Stream, err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// echoStream sends frames back, and flushes when there is nothing left to read.
func echoStream(s network.Stream) error {
	r, w := bufio.NewReaderSize(s, copyChunk), bufio.NewWriterSize(s, copyChunk)
	var frame []byte
	for {
		var err error
		if frame, err = readFrame(r, frame); err != nil {
			return err
		}
		if err := writeFrame(w, frame); err != nil {
			return err
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

func readFrame(r *bufio.Reader, into []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n > copyChunk {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(into) < n {
		into = make([]byte, n)
	}
	_, err := io.ReadFull(r, into[:n])
	return into[:n], err
}

func writeFrame(w *bufio.Writer, frame []byte) error {
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(frame)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(frame)
	return err
}

func sendCopy(s network.Stream) error {
	var n [8]byte
	if _, err := io.ReadFull(s, n[:]); err != nil {
		return err
	}
	chunk := make([]byte, copyChunk)
	for left := binary.LittleEndian.Uint64(n[:]); left > 0; {
		k, err := s.Write(chunk[:min(left, copyChunk)])
		if err != nil {
			return err
		}
		left -= uint64(k)
	}
	return nil
}

// streams are the floors as seen from here.
type streams struct {
	other *process
	host  host.Host
	to    peer.ID
	body  *body
}

func startStreams(ctx context.Context) (*streams, error) {
	p, addr, err := startProcess("streams")
	if err != nil {
		return nil, err
	}
	s := &streams{other: p, body: newBody()}
	info, err := peer.AddrInfoFromString(addr)
	if err == nil {
		s.to = info.ID
		s.host, err = bareHost()
	}
	if err == nil {
		err = s.host.Connect(ctx, *info)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start bare libp2p: %w", err)
	}
	return s, nil
}

func (s *streams) close() {
	if s.host != nil {
		_ = s.host.Close()
	}
	s.other.stop()
}

// echo sends n messages with as many under way as the window says, encoded and
// decoded as a task's would be.
func (s *streams) echo(ctx context.Context, n, window int) error {
	st, err := s.host.NewStream(ctx, s.to, echoProtocol)
	if err != nil {
		return err
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	r, w := bufio.NewReaderSize(st, copyChunk), bufio.NewWriterSize(st, copyChunk)
	var out, in []byte
	m := newMessage(0)
	ahead := 0
	for sent, got := 0, 0; got < n; got++ {
		for ; sent < n && sent-got < window && ahead < echoAhead; sent++ {
			m.Count = int64(sent)
			if out, err = s.body.append(out[:0], &m); err != nil {
				return err
			}
			if err := writeFrame(w, out); err != nil {
				return err
			}
			ahead += len(out)
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		if in, err = readFrame(r, in); err != nil {
			return err
		}
		ahead -= len(in)
		back, err := s.body.read(in)
		if err != nil || back.Count != int64(got) {
			return wrong(err)
		}
	}
	return nil
}

// fetch reads so many bytes into memory, over a stream of its own.
func (s *streams) fetch(ctx context.Context, into []byte) error {
	st, err := s.host.NewStream(ctx, s.to, copyProtocol)
	if err != nil {
		return err
	}
	defer st.Close()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	if _, err := st.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(into)))); err != nil {
		return err
	}
	_, err = io.ReadFull(st, into)
	return err
}
