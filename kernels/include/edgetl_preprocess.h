/* The fused camera preprocessor: colour, crop, halving and resize of a frame in one launch, into an engine's input.
 *
 * A C ABI of plain pointers and numbers: no header of CUDA, PyTorch or TensorRT is needed to call it.
 * Every pointer is device memory. Nothing is allocated, printed or waited for.
 */
#ifndef EDGETL_PREPROCESS_H
#define EDGETL_PREPROCESS_H

#include <stdint.h>

#include "edgetl_status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGETL_PREPROCESS_MAX_SIDE = 1 << 15 };

typedef enum edgetl_format { EDGETL_NV12 = 0, EDGETL_BGR = 1, EDGETL_RGB = 2 } edgetl_format;

typedef enum edgetl_matrix { EDGETL_BT601 = 0, EDGETL_BT709 = 1 } edgetl_matrix;

typedef enum edgetl_range { EDGETL_LIMITED = 0, EDGETL_FULL = 1 } edgetl_range;

typedef struct edgetl_preprocess_args {
  const uint8_t *pixels; /* (height, width, 3) of BGR and RGB; (height, width) of NV12, the luma */
  const uint8_t *chroma; /* (height / 2, width / 2, 2), Cb and Cr of 2 x 2 pixels; read with EDGETL_NV12 only */
  uint8_t *input;        /* (input_height, input_width, 3), contiguous: one image of the engine's input */

  int64_t pixel_pitch, chroma_pitch; /* from row to row, in bytes */

  int32_t height, width; /* both even with EDGETL_NV12 */
  int32_t input_height, input_width;
  int32_t crop_numerator, crop_denominator; /* of the centre square, the part that is kept */
  int32_t format;                           /* edgetl_format */
  int32_t input_format;                     /* EDGETL_BGR or EDGETL_RGB */
  int32_t matrix;                           /* edgetl_matrix; read with EDGETL_NV12 only */
  int32_t range;                            /* edgetl_range; read with EDGETL_NV12 only */
} edgetl_preprocess_args;

/* Put the frame's way to the engine's input into a stream (a cudaStream_t; null is the default stream). What is
 * wrong with the arguments is returned at once, and nothing is launched then. */
edgetl_status edgetl_preprocess_launch(const edgetl_preprocess_args *args, void *stream);

#ifdef __cplusplus
}
#endif

#endif
