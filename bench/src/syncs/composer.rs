//! Composer's own reading of a repository's versions, as Satis and its kin use it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

const READ: &str = r#"
require getenv('COMPOSER_AUTOLOAD') ?: '/usr/share/php/Composer/autoload.php';
$io = new Composer\IO\NullIO();
$config = Composer\Factory::createConfig($io);
$http = new Composer\Util\HttpDownloader($io, $config);
$repository = new Composer\Repository\VcsRepository(['url' => $argv[1], 'type' => 'git'], $io, $config, $http);
echo count($repository->getPackages());
"#;

/// Milliseconds of one reading, without a cache.
pub(super) fn read(path: &Path) -> Result<f64> {
    let home = std::env::temp_dir().join(format!("cargoman-bench-composer-{}", std::process::id()));
    let begun = Instant::now();
    let read = Command::new("php").args(["-r", READ]).arg(path).env("COMPOSER_HOME", &home).output()?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    std::fs::remove_dir_all(&home).ok();
    if !read.status.success() {
        bail!("Composer could not read it: {}", String::from_utf8_lossy(&read.stdout));
    }
    Ok(took)
}
