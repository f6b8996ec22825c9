<?php
// How Composer itself reads a git repository: all its versions as one JSON list. Argument: the repository's folder.
declare(strict_types=1);

$autoload = getenv('CARGOMAN_TEST_COMPOSER_AUTOLOAD') ?: '/usr/share/php/Composer/autoload.php';
if (!is_file($autoload)) {
    fwrite(STDERR, "no Composer library at $autoload: install Composer (`./dev test` does) or set CARGOMAN_TEST_COMPOSER_AUTOLOAD\n");
    exit(3);
}
require $autoload;

use Composer\Config;
use Composer\IO\NullIO;
use Composer\Package\AliasPackage;
use Composer\Package\Dumper\ArrayDumper;
use Composer\Repository\VcsRepository;
use Composer\Util\HttpDownloader;

error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);

$io = new NullIO();
$config = new Config(false);
$config->merge(['config' => ['home' => getenv('COMPOSER_HOME'), 'cache-dir' => getenv('COMPOSER_HOME').'/cache']]);
$repository = new VcsRepository(['type' => 'git', 'url' => $argv[1]], $io, $config, new HttpDownloader($io, $config));
$versions = [];
foreach ($repository->getPackages() as $package) {
    if (!$package instanceof AliasPackage) {
        $versions[] = (new ArrayDumper())->dump($package);
    }
}
echo json_encode($versions, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
