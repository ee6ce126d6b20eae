"""Record the run that fails, of every experiment."""

import numpy as np

from minigrad.experiments import RECORDINGS, _names, record

if __name__ == "__main__":
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    for name in _names():
        np.savez_compressed(RECORDINGS / f"{name}.npz", allow_pickle=False, **record(name))
        print(f"{name}: {(RECORDINGS / f'{name}.npz').stat().st_size:,} bytes")
