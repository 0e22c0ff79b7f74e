// A block of the kernel on a CPU: every thread is a fibre, and they take turns in an order that the caller chooses.
//
// A warp runs until all its threads wait for the block, then the next one does: a missing barrier shows as values
// that are not there yet, or no longer. Blocks run one after the other, so of what one tells another only the
// protocol is checked: every thread has published before its block takes a ticket. Memory order needs a GPU.
#ifndef EDGETL_TESTS_FIBRE_BLOCK_H
#define EDGETL_TESTS_FIBRE_BLOCK_H

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "edgetl_head_block.h"

namespace edgetl::test {

using head::kLanes;
using head::kThreads;
using head::kWarps;

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr unsigned kTurns = 2;  // of shuffled values: those being read, and the next ones

// Of the fibres of a warp or a block; the last to come lets all go.
struct Meeting {
  int arrived = 0;
  int passed = 0;
};

class Scheduler {
 public:
  Scheduler() : stacks_(new char[kStackBytes * kThreads]) {}

  // Runs every thread's body to its end; false when some wait for others that will not come, or when the block
  // took its ticket too early.
  bool run(const std::vector<int> &warps, const std::vector<int> &lanes, const std::function<void(int)> &body) {
    body_ = &body;
    block_ = {};
    warps_ = {};
    published_ = 0;
    is_torn_ = false;
    for (int thread = 0; thread < kThreads; ++thread) start(thread);
    left_ = kThreads;
    while (left_ > 0) {
      const int before = left_;
      const int arrived = block_.arrived;
      const int passed = block_.passed;
      for (const int warp : warps) run_warp(warp, lanes);
      if (left_ == before && block_.arrived == arrived && block_.passed == passed) return false;
    }
    return !is_torn_;
  }

  void meet_block() { meet(block_, kThreads); }

  void publish() { ++published_; }
  void expect_published() { is_torn_ = is_torn_ || published_ != kThreads; }

  // What lane `current ^ apart` of this warp gave.
  template <class Value>
  Value exchange(Value value, int apart) {
    static_assert(sizeof(Value) == sizeof(std::uint32_t));
    const int thread = current_;
    auto &slots = values_[turn_[thread]++ % kTurns];
    std::memcpy(&slots[thread], &value, sizeof value);
    meet(warps_[static_cast<std::size_t>(thread / kLanes)], kLanes);
    std::memcpy(&value, &slots[thread ^ apart], sizeof value);
    return value;
  }

 private:
  // As far as the warp gets alone: no two warps are further apart on any GPU.
  void run_warp(int warp, const std::vector<int> &lanes) {
    do {
      progress_ = false;
      for (const int lane : lanes) {
        const int thread = warp * kLanes + lane;
        if (!is_done_[thread]) resume(thread);
      }
    } while (progress_);
  }

  void start(int thread) {
    ucontext_t &fibre = fibres_[thread];
    getcontext(&fibre);
    fibre.uc_stack.ss_sp = stacks_.get() + kStackBytes * static_cast<std::size_t>(thread);
    fibre.uc_stack.ss_size = kStackBytes;
    fibre.uc_link = nullptr;  // a body ends with a jump home
    const auto self = reinterpret_cast<std::uintptr_t>(this);  // makecontext passes ints only
    makecontext(&fibre, reinterpret_cast<void (*)()>(&Scheduler::enter), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
    is_begun_[thread] = false;
    is_done_[thread] = false;
    turn_[thread] = 0;
  }

  static void enter(unsigned high, unsigned low) {
    auto *self = reinterpret_cast<Scheduler *>(std::uintptr_t{high} << 32 | low);
    const int thread = self->current_;
    (*self->body_)(thread);
    self->is_done_[thread] = true;
    --self->left_;
    self->progress_ = true;
    _longjmp(self->home_, 1);
  }

  // A context begins a fibre and jumps do the rest, for a context switch asks the kernel to keep the signal mask.
  void resume(int thread) {
    current_ = thread;
    if (_setjmp(home_) != 0) return;
    if (is_begun_[thread]) _longjmp(places_[thread], 1);
    is_begun_[thread] = true;
    setcontext(&fibres_[thread]);
  }

  void leave() {
    if (_setjmp(places_[current_]) == 0) _longjmp(home_, 1);
  }

  void meet(Meeting &meeting, int size) {
    const int before = meeting.passed;
    progress_ = true;
    if (++meeting.arrived == size) {
      meeting.arrived = 0;
      ++meeting.passed;
      return;
    }
    while (meeting.passed == before) leave();
  }

  std::unique_ptr<char[]> stacks_;
  std::array<ucontext_t, kThreads> fibres_{};
  std::array<jmp_buf, kThreads> places_{};
  std::array<bool, kThreads> is_begun_{};
  std::array<bool, kThreads> is_done_{};
  std::array<unsigned, kThreads> turn_{};
  std::array<std::array<std::uint32_t, kThreads>, kTurns> values_{};
  std::array<Meeting, kWarps> warps_{};
  Meeting block_{};
  jmp_buf home_{};
  const std::function<void(int)> *body_ = nullptr;
  int current_ = 0;
  int left_ = 0;  // threads that have not come to their end
  int published_ = 0;
  bool is_torn_ = false;
  bool progress_ = false;
};

// One thread's view: what edgetl_head_block.h asks of its machine.
class FibreBlock {
 public:
  FibreBlock(Scheduler &scheduler, int thread, int slice, int tile, int skipped_barrier)
      : scheduler_(scheduler), thread_(thread), slice_(slice), tile_(tile), skipped_(skipped_barrier) {}

  int thread() const { return thread_; }
  int slice() const { return slice_; }
  int tile() const { return tile_; }

  // Without the barrier of that number, as if it had been forgotten.
  void sync() {
    if (barrier_++ != skipped_) scheduler_.meet_block();
  }

  template <class Value>
  Value shuffle_xor(Value value, int apart) {
    return scheduler_.exchange(value, apart);
  }

  void publish() { scheduler_.publish(); }

  std::uint32_t take_ticket(std::uint32_t *ticket, std::uint32_t last) {
    scheduler_.expect_published();
    const std::uint32_t taken = *ticket;
    *ticket = taken >= last ? 0 : taken + 1;
    return taken;
  }

  template <class Value>
  Value fresh(const Value *from) const {
    return *from;
  }

 private:
  Scheduler &scheduler_;
  int thread_;
  int slice_;
  int tile_;
  int skipped_;
  int barrier_ = 0;
};

}  // namespace edgetl::test

#endif
