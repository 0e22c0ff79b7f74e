#include "fibres.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <new>

// Those of the sanitizer that the program is linked with; null without one.
extern "C" {
#define EDGETL_IF_LINKED __attribute__((weak))
EDGETL_IF_LINKED void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, std::size_t size);
EDGETL_IF_LINKED void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, std::size_t *size);
EDGETL_IF_LINKED void *__tsan_get_current_fiber();
EDGETL_IF_LINKED void *__tsan_create_fiber(unsigned flags);
EDGETL_IF_LINKED void __tsan_destroy_fiber(void *fibre);
EDGETL_IF_LINKED void __tsan_switch_to_fiber(void *fibre, unsigned flags);
EDGETL_IF_LINKED void __tsan_acquire(void *address);
EDGETL_IF_LINKED void __tsan_release(void *address);
}

namespace edgetl::test {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;  // a sanitizer's report is written on it, too
constexpr unsigned kTurns = 2;                   // of shuffled values and of barriers: those in use, and the next
constexpr unsigned kUnordered = 1;               // a switch that tells ThreadSanitizer of no order

void release(void *address) {
  if (__tsan_release != nullptr) __tsan_release(address);
}

void acquire(void *address) {
  if (__tsan_acquire != nullptr) __tsan_acquire(address);
}

// Of the fibres of a warp or a block; the last to come lets all go.
struct Meeting {
  int arrived = 0;
  int passed = 0;
};

struct Place {  // to jump to; the compiler's own jump, for that of the C library would be watched
  void *words[5];
};

struct Fibre {
  ucontext_t beginning;
  Place place;
  void *fake_stack;
  void *watched;  // as ThreadSanitizer knows it
  bool is_begun;
  bool is_done;
  unsigned turn;
  std::uint32_t values[kTurns];
};

// Of the fibres of a block. Its pages are given back at the end, and with them what ThreadSanitizer knows of them.
class Stacks {
 public:
  Stacks() : memory_(mmap(nullptr, kWhole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Stacks() { munmap(memory_, kWhole); }
  Stacks(const Stacks &) = delete;
  Stacks &operator=(const Stacks &) = delete;

  char *at(int thread) const { return static_cast<char *>(memory_) + kStackBytes * static_cast<std::size_t>(thread); }

 private:
  static constexpr std::size_t kWhole = kStackBytes * kThreads;
  void *memory_;
};

}  // namespace

struct Fibres::State {
  std::unique_ptr<Stacks> stacks{new Stacks};
  std::unique_ptr<Fibre[]> fibres{new Fibre[kThreads]{}};
  Meeting warps[kWarps];
  Meeting block;
  // What ThreadSanitizer hangs the order on. Barriers have two a block in turn, and each block its own: a thread that
  // comes late to a barrier must not be taken to know what others did behind it.
  std::vector<std::unique_ptr<std::uint64_t[]>> barriers;
  std::uint64_t beginning = 0;
  std::uint64_t ending = 0;
  std::uint64_t ticket = 0;

  Place home;
  void *home_fake_stack = nullptr;
  const void *home_bottom = nullptr;
  std::size_t home_bytes = 0;
  void *home_watched = nullptr;

  const std::function<void(int)> *body = nullptr;
  int current = 0;
  int left = 0;  // threads that have not come to their end
  int published = 0;
  bool is_torn = false;
  bool progress = false;

  // As far as the warp gets alone: no two warps are further apart on any GPU.
  void run_warp(int warp, const std::vector<int> &lanes) {
    do {
      progress = false;
      for (const int lane : lanes) {
        const int thread = warp * kLanes + lane;
        if (!fibres[thread].is_done) resume(thread);
      }
    } while (progress);
  }

  void prepare(int thread) {
    Fibre &fibre = fibres[thread];
    getcontext(&fibre.beginning);
    fibre.beginning.uc_stack.ss_sp = stacks->at(thread);
    fibre.beginning.uc_stack.ss_size = kStackBytes;
    fibre.beginning.uc_link = nullptr;  // a body ends with a jump home
    const auto self = reinterpret_cast<std::uintptr_t>(this);  // makecontext passes ints only
    makecontext(&fibre.beginning, reinterpret_cast<void (*)()>(&State::enter), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
    fibre.is_begun = false;
    fibre.is_done = false;
    fibre.turn = 0;
  }

  // Threads of another block are others to ThreadSanitizer too, or they would know what was learnt in this one.
  void watch() {
    if (__tsan_create_fiber == nullptr) return;
    for (int thread = 0; thread < kThreads; ++thread) fibres[thread].watched = __tsan_create_fiber(0);
  }

  void unwatch() {
    if (__tsan_destroy_fiber == nullptr) return;
    for (int thread = 0; thread < kThreads; ++thread) __tsan_destroy_fiber(fibres[thread].watched);
    stacks.reset(new Stacks);
  }

  static void enter(unsigned high, unsigned low) {
    auto *self = reinterpret_cast<State *>(std::uintptr_t{high} << 32 | low);
    self->arrive(nullptr);
    acquire(&self->beginning);
    (*self->body)(self->current);
    release(&self->ending);
    self->fibres[self->current].is_done = true;
    --self->left;
    self->progress = true;
    self->depart(nullptr);
    self->jump(self->home);
  }

  void resume(int thread) {
    current = thread;
    if (__sanitizer_start_switch_fiber != nullptr) {
      __sanitizer_start_switch_fiber(&home_fake_stack, stacks->at(thread), kStackBytes);
    }
    if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(fibres[thread].watched, kUnordered);
    go(fibres[thread]);
    if (__sanitizer_finish_switch_fiber != nullptr) {
      __sanitizer_finish_switch_fiber(home_fake_stack, nullptr, nullptr);
    }
  }

  // A context begins a fibre and jumps do the rest, for a context switch asks the kernel to keep the signal mask.
  __attribute__((noinline)) void go(Fibre &fibre) {
    if (__builtin_setjmp(home.words) != 0) return;
    if (fibre.is_begun) jump(fibre.place);
    fibre.is_begun = true;
    setcontext(&fibre.beginning);
  }

  [[noreturn]] __attribute__((noinline)) static void jump(Place &place) { __builtin_longjmp(place.words, 1); }

  // Home, until this fibre's next turn.
  __attribute__((noinline)) void leave() {
    Fibre &fibre = fibres[current];
    depart(&fibre.fake_stack);
    if (__builtin_setjmp(fibre.place.words) == 0) jump(home);
    arrive(fibres[current].fake_stack);
  }

  void depart(void **fake_stack) const {
    if (__sanitizer_start_switch_fiber != nullptr) {
      __sanitizer_start_switch_fiber(fake_stack, home_bottom, home_bytes);
    }
    if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(home_watched, kUnordered);
  }

  void arrive(void *fake_stack) {
    if (__sanitizer_finish_switch_fiber != nullptr) {
      __sanitizer_finish_switch_fiber(fake_stack, &home_bottom, &home_bytes);
    }
  }

  void meet(Meeting &meeting, int size) {
    const int before = meeting.passed;
    progress = true;
    if (++meeting.arrived == size) {
      meeting.arrived = 0;
      ++meeting.passed;
      return;
    }
    while (meeting.passed == before) leave();
  }
};

Fibres::Fibres() : state_(new State) {
  if (__tsan_get_current_fiber != nullptr) state_->home_watched = __tsan_get_current_fiber();
}

Fibres::~Fibres() = default;

bool Fibres::run(const std::vector<int> &warps, const std::vector<int> &lanes,
                 const std::function<void(int)> &body) {
  State &state = *state_;
  state.body = &body;
  state.block = {};
  for (Meeting &warp : state.warps) warp = {};
  state.barriers.emplace_back(new std::uint64_t[kTurns]);
  state.published = 0;
  for (int thread = 0; thread < kThreads; ++thread) state.prepare(thread);
  state.left = kThreads;
  state.watch();
  release(&state.beginning);
  bool is_stuck = false;
  while (state.left > 0 && !is_stuck) {
    const Meeting before = state.block;
    const int left = state.left;
    for (const int warp : warps) state.run_warp(warp, lanes);
    is_stuck = state.left == left && state.block.arrived == before.arrived && state.block.passed == before.passed;
  }
  state.unwatch();
  return !is_stuck;
}

bool Fibres::join() {
  acquire(&state_->ending);
  return !state_->is_torn;
}

void Fibres::meet_block() {
  State &state = *state_;
  void *const order = &state.barriers.back()[static_cast<unsigned>(state.block.passed) % kTurns];
  release(order);
  state.meet(state.block, kThreads);
  acquire(order);
}

void Fibres::publish() { ++state_->published; }

void Fibres::take_ticket() {
  state_->is_torn = state_->is_torn || state_->published != kThreads;
  acquire(&state_->ticket);
  release(&state_->ticket);
}

std::uint32_t Fibres::exchange(std::uint32_t value, int apart) {
  State &state = *state_;
  const int thread = state.current;
  const unsigned turn = state.fibres[thread].turn++ % kTurns;
  state.fibres[thread].values[turn] = value;
  state.meet(state.warps[thread / kLanes], kLanes);
  return state.fibres[thread ^ apart].values[turn];
}

}  // namespace edgetl::test
