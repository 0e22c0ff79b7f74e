// The machine under edgetl_preprocess_block.h on a CPU, and a launch on it.
#ifndef EDGETL_TESTS_TILE_BLOCK_H
#define EDGETL_TESTS_TILE_BLOCK_H

#include "edgetl_preprocess_block.h"
#include "fibre_block.h"

namespace edgetl::test {

static_assert(preprocess::kThreads == kThreads, "a block of fibres has one size");

// What edgetl_preprocess_block.h asks of its machine.
struct TileBlock : FibreBlock {
  using FibreBlock::FibreBlock;
  int tile_column() const { return slice(); }
  int tile_row() const { return tile(); }
};

struct TileLaunch {
  const edgetl_preprocess_args &args;
  const preprocess::Plan &plan;
  unsigned seed;
  int skipped_barrier;

  struct Work {  // kept to the end: a block's memory is never another's
    preprocess::Shared shared;
    std::function<void(int)> body;
  };

  template <class Frame, int kBase>
  edgetl_status run() {
    const int across = ceil_div(args.input_width, preprocess::kTileWidth);
    const int down = ceil_div(args.input_height, preprocess::kTileHeight);
    const std::vector<int> warps = order_of(kWarps, seed);
    const std::vector<int> lanes = order_of(kLanes, seed);
    Fibres fibres;
    std::vector<std::unique_ptr<Work>> blocks;
    bool is_done = true;
    for (const int number : order_of(across * down, seed)) {
      Work &work = *blocks.emplace_back(new Work);
      std::memset(&work.shared, 0, sizeof work.shared);  // what no thread wrote: black, and no coordinate to run after
      work.body = [this, &fibres, &shared = work.shared, number, across](int thread) {
        TileBlock block(fibres, thread, number % across, number / across, skipped_barrier);
        preprocess::run_block<Frame, kBase>(args, plan, block, shared);
      };
      is_done = fibres.run(warps, lanes, work.body);
      if (!is_done) break;
    }
    fibres.join();
    return is_done ? EDGETL_OK : EDGETL_LAUNCH_FAILED;
  }
};

// The launch that edgetl_preprocess.h declares, with an order of threads and blocks and a barrier left out.
inline edgetl_status launch(const edgetl_preprocess_args *args, unsigned seed, int skipped_barrier) {
  preprocess::Plan plan{};
  const edgetl_status status = preprocess::make_plan(args, plan);
  if (status != EDGETL_OK) return status;
  return preprocess::choose(*args, plan, TileLaunch{*args, plan, seed, skipped_barrier});
}

}  // namespace edgetl::test

#endif
