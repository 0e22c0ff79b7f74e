// The threads of a block as fibres of one CPU thread that take turns in an order that the caller chooses.
//
// A warp runs until all its threads wait for the block, then the next one does: a missing barrier shows as values
// that are not there yet, or no longer. AddressSanitizer is told of each change of stacks. ThreadSanitizer takes each
// fibre for a thread, and knows of no order between them but that of barriers, tickets and the launch.
//
// Compiled without a sanitizer always: what fibres tell one another here is no memory of the kernel.
#ifndef EDGETL_TESTS_FIBRES_H
#define EDGETL_TESTS_FIBRES_H

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "edgetl_head_plan.h"

namespace edgetl::test {

using head::kLanes;
using head::kThreads;
using head::kWarps;

class Fibres {
 public:
  Fibres();
  ~Fibres();

  // Runs every thread's body to its end; false when some wait for others that will not come.
  bool run(const std::vector<int> &warps, const std::vector<int> &lanes, const std::function<void(int)> &body);

  // After the last block: what all of them did is done. False when one took its ticket before all its threads had
  // published.
  bool join();

  void meet_block();
  void publish();
  void take_ticket();  // all that is ordered before it is so before what follows any later ticket

  // What lane `current ^ apart` of this warp gave. A shuffle carries a value and orders no memory.
  std::uint32_t exchange(std::uint32_t value, int apart);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgetl::test

#endif
