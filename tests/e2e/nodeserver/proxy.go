package main

import (
	"io"
	"log"
	"net"
	"sync"
	"time"
)

const linstorPort = "3370"

// podProxy listens on the pod address of every running controller pod, so that a controller that is down refuses
// connections as in a real cluster.
type podProxy struct {
	backend   string
	listeners map[string]*proxyListener
}

type proxyListener struct {
	listener net.Listener
	mutex    sync.Mutex
	open     map[net.Conn]bool
}

func newPodProxy(backend string) *podProxy {
	return &podProxy{backend: backend, listeners: map[string]*proxyListener{}}
}

func (p *podProxy) update(wanted map[string]bool) {
	if p.backend == "" {
		return
	}
	for address, l := range p.listeners {
		if !wanted[address] {
			l.close()
			delete(p.listeners, address)
			log.Printf("proxy: closed %s", address)
		}
	}
	for address := range wanted {
		if p.listeners[address] != nil {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(address, linstorPort))
		if err != nil {
			log.Printf("proxy: %v", err)
			continue
		}
		l := &proxyListener{listener: listener, open: map[net.Conn]bool{}}
		p.listeners[address] = l
		go l.serve(p.backend)
		log.Printf("proxy: %s:%s -> %s", address, linstorPort, p.backend)
	}
}

func (l *proxyListener) serve(backend string) {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.forward(client, backend)
	}
}

func (l *proxyListener) forward(client net.Conn, backend string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", backend, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	defer server.Close()
	l.track(client, true)
	defer l.track(client, false)
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(client, server)
	client.Close()
	<-done
}

// reset makes the close abrupt: the client sees a lost connection, not an empty answer.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

func (l *proxyListener) track(c net.Conn, open bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if open {
		l.open[c] = true
	} else {
		delete(l.open, c)
	}
}

func (l *proxyListener) close() {
	l.listener.Close()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for c := range l.open { // a dead pod drops its open connections too
		reset(c)
		c.Close()
	}
}
