// The program of one block: a tile of the engine's input.
//
// `Block` is the machine: thread(), tile_column(), tile_row(), sync(). csrc/preprocess.cu makes one of CUDA's
// intrinsics; a test makes one that a CPU runs.
#ifndef EDGETL_PREPROCESS_BLOCK_H
#define EDGETL_PREPROCESS_BLOCK_H

#include "edgetl_preprocess_pixels.h"

namespace edgetl::preprocess {

// Which halved pixels a tile needs along one axis, and which two of them each output mixes.
template <int kOutputs>
struct Taps {
  int count;
  int from[2 * kOutputs];  // coordinate of a needed one
  int at[kOutputs];        // index of an output's first neighbour in `from`; the second is the next
  int weight[kOutputs];    // of the second, in 1 / 2^kFraction
};

struct Shared {
  Taps<kTileWidth> columns;
  Taps<kTileHeight> rows;
  Packed halved[2 * kTileHeight][2 * kTileWidth];
};

// Where an output lies among the halved pixels, in 1 / 2^kFraction. The one product is rounded as numpy rounds it,
// and a tie of the fraction goes to the even one of both.
EDGETL_DEVICE int position(const Axis &axis, int output) {
  const int middle = 1 << (kFraction - 1);
  const int found = static_cast<int>(lrint((2 * output + 1) * axis.step)) - middle;
  const int last = (axis.halved - 1) << kFraction;
  return found < 0 ? 0 : found > last ? last : found;
}

EDGETL_DEVICE int within(const Axis &axis, int at) { return at < axis.halved ? at : axis.halved - 1; }

// One thread's output, and two of the lines that outputs need: its own where they are sparse, else the next two of all
// lines from the first on. Outputs are then at most two lines apart, so two for each are enough.
template <int kOutputs>
EDGETL_DEVICE void find_taps(const Axis &axis, int first, int number, Taps<kOutputs> &taps) {
  const int outputs = axis.input - first < kOutputs ? axis.input - first : kOutputs;
  if (number >= outputs) return;
  const int here = position(axis, first + number);
  const int low = here >> kFraction;
  const int start = position(axis, first) >> kFraction;
  const int line = axis.is_sparse ? low : start + 2 * number;
  const int at = axis.is_sparse ? 2 * number : low - start;
  taps.from[2 * number] = within(axis, line);
  taps.from[2 * number + 1] = within(axis, line + 1);
  taps.at[number] = at;
  taps.weight[number] = here & ((1 << kFraction) - 1);
  if (number == outputs - 1) taps.count = at + 2;
}

template <class Frame, int kBase>
EDGETL_DEVICE void fill(const edgetl_preprocess_args &args, const Plan &plan, int thread, Shared &shared) {
  const int columns = shared.columns.count;
  const int count = shared.rows.count * columns;
  for (int i = thread; i < count; i += kThreads) {
    const int row = i / columns;
    const int column = i % columns;
    shared.halved[row][column] =
        mean<Frame, kBase>(args, plan, shared.rows.from[row], shared.columns.from[column]);
  }
}

EDGETL_DEVICE std::uint8_t mix(const Packed *above, const Packed *below, int number, std::uint32_t right,
                               std::uint32_t down) {
  constexpr std::uint32_t kOne = 1U << kFraction;
  const std::uint32_t top = channel(above[0], number) * (kOne - right) + channel(above[1], number) * right;
  const std::uint32_t bottom = channel(below[0], number) * (kOne - right) + channel(below[1], number) * right;
  return static_cast<std::uint8_t>((top * (kOne - down) + bottom * down + kOne * kOne / 2) >> (2 * kFraction));
}

EDGETL_DEVICE void write(const edgetl_preprocess_args &args, const Plan &plan, int row, int column, int y, int x,
                         const Shared &shared) {
  const Packed *const above = &shared.halved[shared.rows.at[y]][shared.columns.at[x]];
  const Packed *const below = above + 2 * kTileWidth;
  const auto right = static_cast<std::uint32_t>(shared.columns.weight[x]);
  const auto down = static_cast<std::uint32_t>(shared.rows.weight[y]);
  std::uint8_t *const to = args.input + (std::int64_t{row} * args.input_width + column) * 3;
  for (int i = 0; i < 3; ++i) to[plan.is_swapped ? 2 - i : i] = mix(above, below, i, right, down);
}

template <class Frame, int kBase, class Block>
EDGETL_DEVICE void run_block(const edgetl_preprocess_args &args, const Plan &plan, Block &block, Shared &shared) {
  const int thread = block.thread();
  const int first_row = block.tile_row() * kTileHeight;
  const int first_column = block.tile_column() * kTileWidth;
  find_taps(plan.columns, first_column, thread, shared.columns);
  find_taps(plan.rows, first_row, kThreads - 1 - thread, shared.rows);  // another warp's, at the same time
  block.sync();
  fill<Frame, kBase>(args, plan, thread, shared);
  block.sync();
  const int y = thread / kTileWidth;
  const int x = thread % kTileWidth;
  if (first_row + y < args.input_height && first_column + x < args.input_width) {
    write(args, plan, first_row + y, first_column + x, y, x, shared);
  }
}

// The instance for these arguments: `launch.template run<Frame, kBase>()`.
template <class Frame, class Launch>
edgetl_status choose_base(const Plan &plan, Launch launch) {
  switch (base_of(plan)) {
    case 0: return launch.template run<Frame, 0>();
    case 1: return launch.template run<Frame, 1>();
    default: return launch.template run<Frame, kMaxBase>();
  }
}

template <class Launch>
edgetl_status choose(const edgetl_preprocess_args &args, const Plan &plan, Launch launch) {
  return args.format == EDGETL_NV12 ? choose_base<Nv12>(plan, launch) : choose_base<Interleaved>(plan, launch);
}

}  // namespace edgetl::preprocess

#endif
